package scheme

import (
	"github.com/skiff-project/skiff/apis/core"
)

// groups lists the API group packages. Their order is the order in which groups
// are installed and shown by discovery.
var groups = append([]group{
	{core.Resources, core.AddToScheme},
}, interim...)
