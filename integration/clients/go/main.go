// Discovers and uses resources by client-go, as controllers and kubectl do: with
// each way of discovery the kind of each object is mapped to its resource, and
// the object is created, read, listed and deleted by that.
//
//	discovery-client KUBECONFIG CACHE MANIFEST...
//
// Prints a JSON object: what was found by each way of discovery.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/disk"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// found is what one way of discovery says.
type found struct {
	Groups    int      `json:"groups"`
	Resources int      `json:"resources"`
	Used      []string `json:"used"`
}

func main() {
	if len(os.Args) < 4 {
		fail(errors.New("usage: discovery-client KUBECONFIG CACHE MANIFEST..."))
	}
	report, err := run(os.Args[1], os.Args[2], os.Args[3:])
	if err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "discovery-client:", err)
	os.Exit(1)
}

func run(kubeconfig, cache string, manifests []string) (map[string]found, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	objects, err := read(manifests)
	if err != nil {
		return nil, err
	}
	report := map[string]found{}
	for _, way := range ways(cache) {
		client, err := way.client(config)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", way.name, err)
		}
		// The second time it is from the cache.
		for _, suffix := range []string{"", ", again"} {
			result, err := use(config, client, objects)
			if err != nil {
				return nil, fmt.Errorf("%s%s: %w", way.name, suffix, err)
			}
			report[way.name+suffix] = result
		}
	}
	return report, nil
}

func read(manifests []string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, manifest := range manifests {
		text, err := os.ReadFile(manifest)
		if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil {
			return nil, fmt.Errorf("%s: %w", manifest, err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// way is one of the clients of discovery that client-go has.
type way struct {
	name   string
	client func(*rest.Config) (discovery.CachedDiscoveryInterface, error)
}

func ways(cache string) []way {
	inMemory := func(config *rest.Config, change func(*discovery.DiscoveryClient)) (discovery.CachedDiscoveryInterface, error) {
		client, err := discovery.NewDiscoveryClientForConfig(config)
		if err != nil {
			return nil, err
		}
		change(client)
		return memory.NewMemCacheClient(client), nil
	}
	onDisk := func(config *rest.Config) (discovery.CachedDiscoveryInterface, error) {
		// Nothing stays valid: everything is asked for again, with its ETag.
		return disk.NewCachedDiscoveryClientForConfig(config,
			filepath.Join(cache, "discovery"), filepath.Join(cache, "http"), time.Nanosecond)
	}
	return []way{
		{"aggregated", func(config *rest.Config) (discovery.CachedDiscoveryInterface, error) {
			return inMemory(config, func(*discovery.DiscoveryClient) {})
		}},
		{"legacy", func(config *rest.Config) (discovery.CachedDiscoveryInterface, error) {
			return inMemory(config, func(client *discovery.DiscoveryClient) { client.UseLegacyDiscovery = true })
		}},
		{"legacy in protobuf", func(config *rest.Config) (discovery.CachedDiscoveryInterface, error) {
			// As kube-controller-manager, kube-scheduler and the kubelet configure their clients.
			config = rest.CopyConfig(config)
			config.ContentType = "application/vnd.kubernetes.protobuf"
			config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
			return inMemory(config, func(client *discovery.DiscoveryClient) { client.UseLegacyDiscovery = true })
		}},
		{"disk", onDisk},
		{"disk, as the next process", onDisk},
	}
}

func use(config *rest.Config, client discovery.CachedDiscoveryInterface, objects []*unstructured.Unstructured) (found, error) {
	groups, lists, err := client.ServerGroupsAndResources()
	if err != nil {
		return found{}, fmt.Errorf("discovery: %w", err)
	}
	result := found{Groups: len(groups)}
	for _, list := range lists {
		result.Resources += len(list.APIResources)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(client)
	for _, object := range objects {
		kind := object.GroupVersionKind()
		mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err != nil {
			return found{}, fmt.Errorf("mapping: %w", err)
		}
		if err := live(config, mapping, object); err != nil {
			return found{}, fmt.Errorf("%s: %w", mapping.Resource, err)
		}
		result.Used = append(result.Used, mapping.Resource.Resource)
	}
	return result, nil
}

// live creates, reads, lists and deletes the object.
func live(config *rest.Config, mapping *meta.RESTMapping, object *unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	resource := client.Resource(mapping.Resource)
	if _, err := resource.Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	name := object.GetName()
	if _, err := resource.Get(ctx, name, metav1.GetOptions{}); err != nil {
		return fmt.Errorf("get: %w", err)
	}
	list, err := resource.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if len(list.Items) == 0 {
		return errors.New("list: empty")
	}
	if err := resource.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if _, err := resource.Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return fmt.Errorf("get after delete: %v", err)
	}
	return nil
}
