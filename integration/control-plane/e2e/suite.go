//go:build e2e

// Package e2e names Kubernetes' own end-to-end suite and what runs it, so that
// the module files have their dependencies. tools/e2e-suite builds them; no
// build has this package.
package e2e

import (
	_ "github.com/onsi/ginkgo/v2/ginkgo"
	_ "k8s.io/kubernetes/test/e2e"
)
