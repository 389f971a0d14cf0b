package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
)

// kubeconfigs keeps the kubeconfig file of each component, with its client
// certificate inside.
func (k *keeper) kubeconfigs() error {
	for _, file := range []struct {
		path, user string
		groups     []string
	}{
		{k.files.Admin, AdminUser, []string{AdminGroup}},
		{k.files.ControllerManager, "system:kube-controller-manager", nil},
		{k.files.Scheduler, "system:kube-scheduler", nil},
		{k.files.KubeletConfig, "system:node:" + k.cfg.NodeName, []string{"system:nodes"}},
		{k.files.Proxy, "system:kube-proxy", nil},
		{k.files.CNI, "system:skiff:cni", nil},
	} {
		want := request{user: file.user, groups: file.groups, usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		if err := k.kubeconfig(file.path, want); err != nil {
			return err
		}
	}
	return nil
}

func (k *keeper) kubeconfig(path string, want request) error {
	switch found, err := exists(path); {
	case err != nil:
		return err
	case found:
		good, err := k.kubeconfigStillGood(path, want)
		if err != nil || good {
			return err
		}
	}
	certPEM, keyPEM, err := k.sign(k.ca, want)
	if err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	data, err := clientcmd.Write(*newKubeconfig(k.cfg.ClusterName, k.cfg.Server, want.user, k.ca.pem, certPEM, keyPEM))
	if err != nil {
		return fmt.Errorf("encoding %s: %w", path, err)
	}
	return k.write(path, data, 0o600)
}

// kubeconfigStillGood reports whether the file in path points to the wanted
// server, trusts the CA, and holds a certificate that is still good.
func (k *keeper) kubeconfigStillGood(path string, want request) (bool, error) {
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		return false, fmt.Errorf("reading the kubeconfig %s: %w", path, err)
	}
	context := config.Contexts[config.CurrentContext]
	if context == nil {
		return false, nil
	}
	cluster, user := config.Clusters[context.Cluster], config.AuthInfos[context.AuthInfo]
	if cluster == nil || user == nil || cluster.Server != k.cfg.Server || !bytes.Equal(cluster.CertificateAuthorityData, k.ca.pem) {
		return false, nil
	}
	certs, err := cert.ParseCertsPEM(user.ClientCertificateData)
	if err != nil {
		return false, nil
	}
	if _, err := tls.X509KeyPair(user.ClientCertificateData, user.ClientKeyData); err != nil {
		return false, nil
	}
	return k.stillGood(certs[0], k.ca, want), nil
}

func newKubeconfig(clusterName, server, user string, caPEM, certPEM, keyPEM []byte) *clientcmdapi.Config {
	context := user + "@" + clusterName
	config := clientcmdapi.NewConfig()
	config.Clusters[clusterName] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: caPEM}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: certPEM, ClientKeyData: keyPEM}
	config.Contexts[context] = &clientcmdapi.Context{Cluster: clusterName, AuthInfo: user}
	config.CurrentContext = context
	return config
}
