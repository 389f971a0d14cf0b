package bootstrappolicy

import rbacv1 "k8s.io/api/rbac/v1"

const (
	read      = "get list watch"
	write     = "create delete deletecollection patch update"
	readWrite = read + " " + write

	authn        = "authentication.k8s.io"
	authz        = "authorization.k8s.io"
	coordination = "coordination.k8s.io"
	discovery    = "discovery.k8s.io"
	networking   = "networking.k8s.io"
	rbacGroup    = "rbac.authorization.k8s.io"
	dra          = "resource.k8s.io"
	storage      = "storage.k8s.io"
)

// events lets a component record events, of either group.
func events() rbacv1.PolicyRule { return can("create patch update", "core events.k8s.io", "events") }

func clusterRoles() []role {
	return append(append(userRoles(), peerRoles()...), componentRoles()...)
}

// userRoles are those that people and their programs are bound to.
func userRoles() []role {
	return []role{
		{name: "cluster-admin", rules: []rbacv1.PolicyRule{can("*", "*", "*"), path("*", "*")}},
		{name: "admin", aggregates: []string{toAdmin}},
		{name: "edit", labels: []string{toAdmin}, aggregates: []string{toEdit}},
		{name: "view", labels: []string{toEdit}, aggregates: []string{toView}},
		{name: "system:aggregate-to-admin", labels: []string{toAdmin}, rules: []rbacv1.PolicyRule{
			can("create", authz, "localsubjectaccessreviews"),
			can(readWrite, rbacGroup, "roles rolebindings"),
		}},
		{name: "system:aggregate-to-edit", labels: []string{toEdit}, rules: editRules()},
		{name: "system:aggregate-to-view", labels: []string{toView}, rules: viewRules()},

		{name: "system:discovery", rules: []rbacv1.PolicyRule{
			path("get", "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/"),
		}},
		{name: "system:basic-user", rules: []rbacv1.PolicyRule{
			can("create", authz, "selfsubjectaccessreviews selfsubjectrulesreviews"),
			can("create", authn, "selfsubjectreviews"),
		}},
		{name: "system:public-info-viewer", rules: []rbacv1.PolicyRule{
			path("get", "/healthz /livez /readyz /version /version/"),
		}},
		{name: "system:monitoring", rules: []rbacv1.PolicyRule{
			path("get", "/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*"),
		}},
		{name: "system:service-account-issuer-discovery", rules: []rbacv1.PolicyRule{
			path("get", "/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/"),
		}},
	}
}

func editRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		can(read, "core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
		can("impersonate", "core", "serviceaccounts"),
		can(write, "core", "pods pods/attach pods/exec pods/portforward pods/proxy"),
		can("create", "core", "pods/eviction"),
		can(write, "core", "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy"),
		can("create", "core", "serviceaccounts/token"),
		can(write, "apps", "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale"),
		can(write, "autoscaling", "horizontalpodautoscalers"),
		can(write, "batch", "cronjobs jobs"),
		can(write, "policy", "poddisruptionbudgets"),
		can(write, networking, "ingresses networkpolicies"),
		can(readWrite, coordination, "leases"),
		can(write, dra, "resourceclaims resourceclaimtemplates"),
	}
}

func viewRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		can(read, "core", "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status"),
		can(read, "core", "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas resourcequotas/status"),
		can(read, "core", "namespaces"),
		can(read, discovery, "endpointslices"),
		can(read, "apps", "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status"),
		can(read, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
		can(read, "batch", "cronjobs cronjobs/status jobs jobs/status"),
		can(read, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
		can(read, networking, "ingresses ingresses/status networkpolicies"),
		can(read, dra, "resourceclaims resourceclaims/status resourceclaimtemplates"),
	}
}

// peerRoles are those that add-ons and other servers are bound to.
func peerRoles() []role {
	return []role{
		{name: "system:auth-delegator", rules: []rbacv1.PolicyRule{
			can("create", authn, "tokenreviews"),
			can("create", authz, "subjectaccessreviews"),
		}},
		{name: "system:kube-aggregator", rules: []rbacv1.PolicyRule{can(read, "core", "endpoints services")}},
		{name: "system:kube-dns", rules: []rbacv1.PolicyRule{can("list watch", "core", "endpoints services")}},
		{name: "system:heapster", rules: []rbacv1.PolicyRule{
			can(read, "core", "events namespaces nodes pods"),
			can(read, "apps", "deployments"),
		}},
		{name: "system:node-problem-detector", rules: []rbacv1.PolicyRule{
			can("get", "core", "nodes"),
			can("patch", "core", "nodes/status"),
			events(),
		}},
		{name: "system:persistent-volume-provisioner", rules: []rbacv1.PolicyRule{
			can(read+" create delete", "core", "persistentvolumes"),
			can(read+" update", "core", "persistentvolumeclaims"),
			can(read, storage, "storageclasses"),
			can("watch", "core", "events"),
			events(),
		}},
		{name: "system:kubelet-api-admin", rules: []rbacv1.PolicyRule{
			can(read+" proxy", "core", "nodes"),
			can("*", "core", "nodes/checkpoint nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/stats nodes/statusz"),
		}},
	}
}

// componentRoles are those of this project's own processes.
func componentRoles() []role {
	return []role{
		{name: "system:node", rules: nodeRules()},
		{name: "system:node-proxier", rules: []rbacv1.PolicyRule{
			can("list watch", "core", "endpoints services"),
			can(read, "core", "nodes"),
			can("list watch", discovery, "endpointslices"),
			can("list watch", networking, "servicecidrs"),
			events(),
		}},
		{name: "system:kube-scheduler", rules: schedulerRules()},
		{name: "system:volume-scheduler", rules: []rbacv1.PolicyRule{
			can(read, storage, "storageclasses"),
			can(read+" patch update", "core", "persistentvolumeclaims persistentvolumes"),
		}},
		{name: "system:kube-controller-manager", rules: []rbacv1.PolicyRule{
			events(),
			can("create", coordination, "leases"),
			named(can("get update", coordination, "leases"), "kube-controller-manager"),
			can("create", "core", "secrets serviceaccounts serviceaccounts/token"),
			can("delete", "core", "secrets"),
			can("get", "core", "configmaps namespaces secrets serviceaccounts"),
			can("update", "core", "secrets serviceaccounts"),
			can("create", authn, "tokenreviews"),
			can("create", authz, "subjectaccessreviews"),
			can("list watch", "*", "*"),
		}},
		// The network daemon reads its node's podCIDRs and says when the network works.
		{name: "system:skiff:cni", rules: []rbacv1.PolicyRule{
			can(read, "core", "nodes"),
			can("patch update", "core", "nodes/status"),
			events(),
		}},
	}
}

// nodeRules are what a node agent needs. Upstream gives them through an
// authorizer that knows which node needs which secret; until this project has it,
// they hold for all nodes alike, and the NodeRestriction admission plugin limits
// what a node writes.
func nodeRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		can("create", authn, "tokenreviews"),
		can("create", authz, "localsubjectaccessreviews subjectaccessreviews"),
		can(read, "core", "services"),
		can(read+" create patch update", "core", "nodes"),
		can("patch update", "core", "nodes/status"),
		events(),
		can(read+" create delete", "core", "pods"),
		can("patch update", "core", "pods/status"),
		can("create", "core", "pods/eviction"),
		can(read, "core", "configmaps secrets"),
		can("get", "core", "endpoints persistentvolumeclaims persistentvolumes"),
		can("get patch update", "core", "persistentvolumeclaims/status"),
		can("create", "core", "serviceaccounts/token"),
		can("create delete get patch update", coordination, "leases"),
		can(read+" create", "certificates.k8s.io", "certificatesigningrequests"),
		can("get", storage, "volumeattachments"),
		can(read, storage, "csidrivers"),
		can("create delete get patch update", storage, "csinodes"),
		can(read, "node.k8s.io", "runtimeclasses"),
	}
}

func schedulerRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		events(),
		can("create", coordination, "leases"),
		named(can("get update", coordination, "leases"), "kube-scheduler"),
		can(read, "core", "nodes"),
		can(read+" delete", "core", "pods"),
		can("create", "core", "bindings pods/binding"),
		can("patch update", "core", "pods/status"),
		can(read, "core", "namespaces replicationcontrollers services"),
		can(read, "apps", "replicasets statefulsets"),
		can(read, "policy", "poddisruptionbudgets"),
		can(read, "core", "persistentvolumeclaims persistentvolumes"),
		can(read, storage, "csidrivers csinodes csistoragecapacities volumeattachments"),
		can(read, "scheduling.k8s.io", "priorityclasses"),
		can("create", authn, "tokenreviews"),
		can("create", authz, "subjectaccessreviews"),
	}
}

// roles are those of one namespace.
func roles() []role {
	leaderLocking := func(component string) role {
		return role{namespace: "kube-system", name: "system::leader-locking-" + component, rules: []rbacv1.PolicyRule{
			can("watch", "core", "configmaps"),
			named(can("get update", "core", "configmaps"), component),
		}}
	}
	return []role{
		{namespace: "kube-system", name: "extension-apiserver-authentication-reader", rules: []rbacv1.PolicyRule{
			named(can(read, "core", "configmaps"), "extension-apiserver-authentication"),
		}},
		leaderLocking("kube-controller-manager"),
		leaderLocking("kube-scheduler"),
	}
}
