// Command control-plane holds every Kubernetes program that the cluster tests
// run, in one binary of one Kubernetes version: it dispatches on its first
// argument, the way the upstream hyperkube once did.
//
//	control-plane etcd                     --data-dir …
//	control-plane kube-apiserver           --etcd-servers …
//	control-plane kube-controller-manager  --kubeconfig …
//	control-plane kube-scheduler           --kubeconfig …
//	control-plane kubectl                  get pods
//	control-plane kubelet-stand-in         --port …
//
// One binary shares the packages that the programs have in common, which
// halves build time and disk use. The version is chosen by the -modfile of the
// build (v1.35.mod, …) and a build tag of the same name; see tools/control-plane.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // kubernetes_build_info
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	program := os.Args[1]
	os.Args = append([]string{program}, os.Args[2:]...)
	switch program {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		run(apiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		run(controllermanager.NewControllerManagerCommand())
	case "kube-scheduler":
		run(scheduler.NewSchedulerCommand())
	case "kubectl":
		run(kubectl.NewDefaultKubectlCommand())
	case "kubelet-stand-in":
		run(newKubeletStandInCommand())
	default:
		usage()
	}
}

func run(command *cobra.Command) {
	os.Exit(cli.Run(command))
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: control-plane etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubectl|kubelet-stand-in [flag …]")
	os.Exit(2)
}
