//go:build !v1.34 && !v1.35

package main

import (
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// The streaming library of Kubernetes 1.36 and newer, a module of its own.

type (
	podUID       = string
	terminalSize = remotecommand.TerminalSize
)

var (
	newStreamOptions      = remotecommand.NewOptions
	serveExec             = remotecommand.ServeExec
	serveAttach           = remotecommand.ServeAttach
	streamProtocols       = remotecommand.SupportedStreamingProtocols
	newPortForwardOptions = portforward.NewV4Options
	servePortForward      = portforward.ServePortForward
	portForwardProtocols  = portforward.SupportedProtocols
)
