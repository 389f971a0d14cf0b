// Command project prints the PROJECT file: the kinds that the API server serves,
// read from the resource table, and which of them a controller takes care of, read
// from the folders under controllers/.
package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/scheme"
)

// controllerOf names the package of the controller that owns a kind.
var controllerOf = map[string]string{
	"ClusterRole": "clusterroleaggregation", "ConfigMap": "rootca", "Deployment": "deployment", "Endpoints": "endpoints",
	"EndpointSlice": "endpointslice", "Namespace": "namespace", "Node": "nodelifecycle", "Pod": "podgc", "ReplicaSet": "replicaset",
	"ReplicationController": "replication", "Secret": "tokens", "ServiceAccount": "serviceaccount",
}

const head = `# What this project serves and runs, in kubebuilder's multigroup form. The kinds are
# the published ones of k8s.io/api. Written by hack/update-project.sh.
domain: k8s.io
layout:
- go.kubebuilder.io/v4
multigroup: true
projectName: skiff
repo: github.com/skiff-project/skiff
resources:
`

func main() {
	fmt.Print(head)
	rows := slices.SortedFunc(slices.Values(scheme.Resources()), func(a, b resource.Resource) int {
		return cmp.Or(cmp.Compare(a.Kind.Group, b.Kind.Group), cmp.Compare(a.Kind.Kind, b.Kind.Kind))
	})
	for _, row := range rows {
		if err := print(row); err != nil {
			fmt.Fprintln(os.Stderr, "project:", err)
			os.Exit(1)
		}
	}
	fmt.Println(`version: "3"`)
}

func print(row resource.Resource) error {
	group := cmp.Or(row.Kind.Group, "core")
	fmt.Printf("- api:\n    namespaced: %t\n", !row.ClusterScoped)
	if name := controllerOf[row.Kind.Kind]; name != "" {
		if _, err := os.Stat(filepath.Join("controllers", name)); err != nil {
			return fmt.Errorf("the controller of %s: %w", row.Kind.Kind, err)
		}
		fmt.Println("  controller: true")
	}
	typ, err := packageOf(row)
	if err != nil {
		return err
	}
	fmt.Printf("  group: %s\n  kind: %s\n  path: %s\n  version: %s\n", group, row.Kind.Kind, typ, row.Kind.Version)
	return nil
}

// packageOf is the Go package of the kind's type.
func packageOf(row resource.Resource) (string, error) {
	for kind, typ := range scheme.Scheme.KnownTypes(row.Kind.GroupVersion()) {
		if kind == row.Kind.Kind {
			return typ.PkgPath(), nil
		}
	}
	return "", fmt.Errorf("%s is not in the scheme", row.Kind)
}
