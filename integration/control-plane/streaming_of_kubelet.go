//go:build v1.34 || v1.35

package main

import (
	"k8s.io/apimachinery/pkg/types"
	streams "k8s.io/apimachinery/pkg/util/remotecommand"
	client "k8s.io/client-go/tools/remotecommand"
	"k8s.io/kubelet/pkg/cri/streaming/portforward"
	"k8s.io/kubelet/pkg/cri/streaming/remotecommand"
)

// The streaming library of Kubernetes 1.34 and 1.35, which is a part of the kubelet.

type (
	podUID       = types.UID
	terminalSize = client.TerminalSize
)

var (
	newStreamOptions      = remotecommand.NewOptions
	serveExec             = remotecommand.ServeExec
	serveAttach           = remotecommand.ServeAttach
	streamProtocols       = streams.SupportedStreamingProtocols
	newPortForwardOptions = portforward.NewV4Options
	servePortForward      = portforward.ServePortForward
	portForwardProtocols  = portforward.SupportedProtocols
)
