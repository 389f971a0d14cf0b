// Command skiff-cni is the CNI plugin of skiff's pod network. The node agent runs
// it for every pod; package cni/plugin says what it does.
package main

import (
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/skiff-project/skiff/cni/plugin"
)

func main() {
	skel.PluginMainFuncs(plugin.Functions(), version.All, "skiff-cni: joins pods to the node's bridge")
}
