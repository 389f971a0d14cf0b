package bootstrappolicy

func clusterRoleBindings() []binding {
	return []binding{
		{name: "cluster-admin", role: "cluster-admin", subjects: []string{"group:system:masters"}},
		// The user of admin.conf; unlike system:masters this can be taken away.
		{name: "skiff:cluster-admins", role: "cluster-admin", subjects: []string{"group:skiff:cluster-admins"}},

		{name: "system:discovery", role: "system:discovery", subjects: []string{"group:system:authenticated"}},
		{name: "system:basic-user", role: "system:basic-user", subjects: []string{"group:system:authenticated"}},
		{name: "system:public-info-viewer", role: "system:public-info-viewer", subjects: []string{"group:system:authenticated", "group:system:unauthenticated"}},
		{name: "system:monitoring", role: "system:monitoring", subjects: []string{"group:system:monitoring"}},
		{name: "system:service-account-issuer-discovery", role: "system:service-account-issuer-discovery", subjects: []string{"group:system:serviceaccounts"}},

		// See nodeRules: goes away with the Node authorizer.
		{name: "system:node", role: "system:node", subjects: []string{"group:system:nodes"}},
		{name: "system:node-proxier", role: "system:node-proxier", subjects: []string{"user:system:kube-proxy"}},
		{name: "system:kube-controller-manager", role: "system:kube-controller-manager", subjects: []string{controllersUser}},
		{name: "system:kube-scheduler", role: "system:kube-scheduler", subjects: []string{"user:system:kube-scheduler"}},
		{name: "system:volume-scheduler", role: "system:volume-scheduler", subjects: []string{"user:system:kube-scheduler"}},
		{name: "system:kube-dns", role: "system:kube-dns", subjects: []string{"sa:kube-system/kube-dns"}},
		{name: "system:skiff:cni", role: "system:skiff:cni", subjects: []string{"user:system:skiff:cni"}},
		// The API server as a client of the node agents.
		{name: "system:skiff:kubelet-api-admin", role: "system:kubelet-api-admin", subjects: []string{"user:kube-apiserver-kubelet-client"}},
	}
}

func roleBindings() []binding {
	return []binding{
		{namespace: "kube-system", name: "system::extension-apiserver-authentication-reader", role: "extension-apiserver-authentication-reader",
			subjects: []string{"user:system:kube-controller-manager", "user:system:kube-scheduler"}},
		{namespace: "kube-system", name: "system::leader-locking-kube-controller-manager", role: "system::leader-locking-kube-controller-manager",
			subjects: []string{"user:system:kube-controller-manager", "sa:kube-system/kube-controller-manager"}},
		{namespace: "kube-system", name: "system::leader-locking-kube-scheduler", role: "system::leader-locking-kube-scheduler",
			subjects: []string{"user:system:kube-scheduler", "sa:kube-system/kube-scheduler"}},
	}
}
