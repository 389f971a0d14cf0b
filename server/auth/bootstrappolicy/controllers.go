package bootstrappolicy

import rbacv1 "k8s.io/api/rbac/v1"

const (
	controllerPrefix   = "system:controller:"
	controllersUser    = "user:system:kube-controller-manager"
	controllerAccounts = "sa:kube-system/"
)

// controllerRole is the row of one controller: the name of its service account
// and what it may do beside recording events.
func controllerRole(name string, rules ...rbacv1.PolicyRule) role {
	return role{name: controllerPrefix + name, rules: append(rules, events())}
}

// controllerRoles are those of the single controllers.
func controllerRoles() []role {
	// What every controller that owns pods does with them.
	ownPods := can("create delete get list patch watch", "core", "pods")
	return []role{
		controllerRole("clusterrole-aggregation-controller",
			can(read+" escalate patch update", rbacGroup, "clusterroles")),
		controllerRole("cronjob-controller",
			can(read+" update", "batch", "cronjobs"),
			can(read+" create delete patch update", "batch", "jobs"),
			can("update", "batch", "cronjobs/finalizers cronjobs/status"),
			can("delete list", "core", "pods")),
		controllerRole("daemon-set-controller",
			can(read, "apps", "daemonsets"),
			can("update", "apps", "daemonsets/finalizers daemonsets/status"),
			can("list watch", "core", "nodes"),
			ownPods,
			can("create", "core", "pods/binding"),
			can(read+" create delete patch update", "apps", "controllerrevisions")),
		controllerRole("deployment-controller",
			can(read+" update", "apps", "deployments"),
			can("update", "apps", "deployments/finalizers deployments/status"),
			can(read+" create delete patch update", "apps", "replicasets"),
			can(read+" update", "core", "pods")),
		controllerRole("endpoint-controller",
			can(read, "core", "pods services"),
			can("create delete get list update", "core", "endpoints"),
			can("create", "core", "endpoints/restricted")),
		controllerRole("endpointslice-controller",
			can(read, "core", "nodes pods services"),
			can("update", "core", "services/finalizers"),
			can(read+" create delete update", discovery, "endpointslices"),
			can("create", discovery, "endpointslices/restricted")),
		controllerRole("endpointslicemirroring-controller",
			can(read, "core", "endpoints services"),
			can("update", "core", "endpoints/finalizers services/finalizers"),
			can(read+" create delete update", discovery, "endpointslices"),
			can("create", discovery, "endpointslices/restricted")),
		controllerRole("generic-garbage-collector",
			can(read+" delete patch update", "*", "*")),
		controllerRole("horizontal-pod-autoscaler",
			can(read, "autoscaling", "horizontalpodautoscalers"),
			can("update", "autoscaling", "horizontalpodautoscalers/status"),
			can("get update", "*", "*/scale"),
			can("list", "core", "pods"),
			can("get list", "metrics.k8s.io", "pods"),
			can("get list", "custom.metrics.k8s.io", "*"),
			can("get list", "external.metrics.k8s.io", "*")),
		controllerRole("job-controller",
			can(read+" patch update", "batch", "jobs"),
			can("update", "batch", "jobs/finalizers jobs/status"),
			ownPods),
		controllerRole("namespace-controller",
			can(read+" delete", "core", "namespaces"),
			can("update", "core", "namespaces/finalize namespaces/status"),
			can("delete deletecollection get list", "*", "*")),
		controllerRole("node-controller",
			can(read+" delete patch update", "core", "nodes"),
			can("patch update", "core", "nodes/status pods/status"),
			can(read+" delete", "core", "pods")),
		controllerRole("pod-garbage-collector",
			can("delete list watch", "core", "pods"),
			can("get list", "core", "nodes"),
			can("patch", "core", "pods/status")),
		controllerRole("replicaset-controller",
			can(read+" update", "apps", "replicasets"),
			can("update", "apps", "replicasets/finalizers replicasets/status"),
			ownPods),
		controllerRole("replication-controller",
			can(read+" update", "core", "replicationcontrollers"),
			can("update", "core", "replicationcontrollers/finalizers replicationcontrollers/status"),
			ownPods),
		controllerRole("root-ca-cert-publisher",
			can("create update", "core", "configmaps")),
		controllerRole("service-account-controller",
			can("create", "core", "serviceaccounts")),
		controllerRole("statefulset-controller",
			can("list watch", "core", "pods"),
			can(read, "apps", "statefulsets"),
			can("update", "apps", "statefulsets/finalizers statefulsets/status"),
			can("create delete get patch update", "core", "pods"),
			can(read+" create delete patch update", "apps", "controllerrevisions"),
			can("create delete get update", "core", "persistentvolumeclaims")),
		controllerRole("ttl-after-finished-controller",
			can(read+" delete", "batch", "jobs")),
	}
}

// controllerBindings bind each controller's role to its own service account. The
// controllers still run as one user, which for that time is bound to all of them.
func controllerBindings() []binding {
	var bindings []binding
	for _, row := range controllerRoles() {
		account := row.name[len(controllerPrefix):]
		bindings = append(bindings, binding{
			name: row.name, role: row.name,
			subjects: []string{controllerAccounts + account, controllersUser},
		})
	}
	return bindings
}
