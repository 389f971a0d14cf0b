package scheme

import (
	"github.com/skiff-project/skiff/apis/apps"
	"github.com/skiff-project/skiff/apis/authentication"
	"github.com/skiff-project/skiff/apis/authorization"
	"github.com/skiff-project/skiff/apis/autoscaling"
	"github.com/skiff-project/skiff/apis/batch"
	"github.com/skiff-project/skiff/apis/coordination"
	"github.com/skiff-project/skiff/apis/core"
	"github.com/skiff-project/skiff/apis/discovery"
	"github.com/skiff-project/skiff/apis/events"
	"github.com/skiff-project/skiff/apis/policy"
	"github.com/skiff-project/skiff/apis/rbac"
	"github.com/skiff-project/skiff/apis/scheduling"
)

// groups lists the API group packages. Their order is the order in which groups
// are installed.
var groups = []group{
	{core.Resources, core.AddToScheme},
	{authentication.Resources, authentication.AddToScheme},
	{authorization.Resources, authorization.AddToScheme},
	{autoscaling.Resources, autoscaling.AddToScheme},
	{batch.Resources, batch.AddToScheme},
	{apps.Resources, apps.AddToScheme},
	{coordination.Resources, coordination.AddToScheme},
	{discovery.Resources, discovery.AddToScheme},
	{nil, events.AddToScheme}, // its one kind is a row of core
	{policy.Resources, policy.AddToScheme},
	{rbac.Resources, rbac.AddToScheme},
	{scheduling.Resources, scheduling.AddToScheme},
}
