package server

import (
	"net"
	"time"

	"github.com/spf13/pflag"

	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// Options are the flags of the API server. Their names and meanings are
// kube-apiserver's, except for --data-dir.
type Options struct {
	Run           *genericoptions.ServerRunOptions
	Etcd          *genericoptions.EtcdOptions
	SecureServing *genericoptions.SecureServingOptions
	ClientCert    *genericoptions.ClientCertAuthenticationOptions
	RequestHeader *genericoptions.RequestHeaderAuthenticationOptions
	Audit         *genericoptions.AuditOptions
	Features      *genericoptions.FeatureOptions
	Admission     *genericoptions.AdmissionOptions
	APIEnablement *genericoptions.APIEnablementOptions

	ServiceAccounts ServiceAccountOptions
	Kubelet         KubeletOptions
	Services        ServiceOptions

	// AuthorizationModes is --authorization-mode.
	AuthorizationModes []string
	// APIAudiences is --api-audiences; empty: the issuers.
	APIAudiences []string
	// ProxyClientCertFile and ProxyClientKeyFile prove this server's identity to
	// extension API servers and webhooks.
	ProxyClientCertFile, ProxyClientKeyFile string
	// DataDir holds the embedded etcd (DataDir/etcd) when no etcd server is given.
	DataDir string
	// EtcdUnsafeNoFsync is for tests: it has no flag.
	EtcdUnsafeNoFsync bool
}

// ServiceAccountOptions are the --service-account-* flags.
type ServiceAccountOptions struct {
	Issuers            []string
	KeyFiles           []string
	SigningKeyFile     string
	MaxTokenExpiration time.Duration
	ExtendExpiration   bool
	JWKSURI            string
}

// KubeletOptions say how the server reaches the node agents.
type KubeletOptions struct {
	ClientCertFile, ClientKeyFile string
	CAFile                        string
	PreferredAddressTypes         []string
	Timeout                       time.Duration
}

// ServiceOptions are the ranges from which Services get addresses and ports.
type ServiceOptions struct {
	ClusterIPRange string // one CIDR, or two of different families
	NodePortRange  utilnet.PortRange
}

// The defaults of kube-apiserver and of the all-in-one cluster.
const (
	defaultSecurePort     = 6443
	defaultClusterIPRange = "10.96.0.0/16"
	defaultIssuer         = "https://kubernetes.default.svc.cluster.local"
	etcdPrefix            = "/registry"
	// watchGracePeriod is how long a stopping server lets watches end by
	// themselves. Without one, clients that watch would hold up the shutdown.
	watchGracePeriod = 2 * time.Second
)

// NewOptions returns the defaults.
func NewOptions() *Options {
	o := &Options{
		Run:           genericoptions.NewServerRunOptions(),
		Etcd:          genericoptions.NewEtcdOptions(storagebackend.NewDefaultConfig(etcdPrefix, nil)),
		SecureServing: genericoptions.NewSecureServingOptions(),
		ClientCert:    &genericoptions.ClientCertAuthenticationOptions{},
		RequestHeader: &genericoptions.RequestHeaderAuthenticationOptions{},
		Audit:         genericoptions.NewAuditOptions(),
		Features:      genericoptions.NewFeatureOptions(),
		Admission:     newAdmissionOptions(),
		APIEnablement: genericoptions.NewAPIEnablementOptions(),
		ServiceAccounts: ServiceAccountOptions{
			Issuers:          []string{defaultIssuer},
			ExtendExpiration: true,
		},
		Kubelet: KubeletOptions{
			PreferredAddressTypes: []string{"Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"},
			Timeout:               5 * time.Second,
		},
		Services: ServiceOptions{
			ClusterIPRange: defaultClusterIPRange,
			NodePortRange:  utilnet.PortRange{Base: 30000, Size: 2768},
		},
		AuthorizationModes: []string{"Node", "RBAC"},
		DataDir:            "/var/lib/skiff",
	}
	o.Run.ShutdownWatchTerminationGracePeriod = watchGracePeriod
	o.Etcd.DefaultStorageMediaType = runtime.ContentTypeProtobuf
	o.SecureServing.BindPort = defaultSecurePort
	o.SecureServing.Required = true
	o.SecureServing.ServerCert.CertDirectory = "/var/run/kubernetes"
	// Priority and fairness needs its API group, which is not served yet; the
	// max-in-flight limits protect the server.
	o.Features.EnablePriorityAndFairness = false
	return o
}

// AddFlags registers the flags on fs.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	o.Run.AddUniversalFlags(fs)
	o.Etcd.AddFlags(fs)
	o.SecureServing.AddFlags(fs)
	o.ClientCert.AddFlags(fs)
	o.RequestHeader.AddFlags(fs)
	o.Audit.AddFlags(fs)
	o.Features.AddFlags(fs)
	o.Admission.AddFlags(fs)
	o.APIEnablement.AddFlags(fs)
	o.ServiceAccounts.addFlags(fs)
	o.Kubelet.addFlags(fs)
	o.Services.addFlags(fs)

	fs.StringSliceVar(&o.AuthorizationModes, "authorization-mode", o.AuthorizationModes,
		"Ordered list of plug-ins to do authorization on secure port. Comma-delimited list of: AlwaysAllow,AlwaysDeny,Node,RBAC.")
	fs.StringSliceVar(&o.APIAudiences, "api-audiences", o.APIAudiences,
		"Identifiers of the API. Tokens used against the API must be bound to at least one of these audiences. Defaults to the issuer URLs.")
	fs.StringVar(&o.ProxyClientCertFile, "proxy-client-cert-file", o.ProxyClientCertFile,
		"Client certificate used to prove the identity of the API server when it calls out during a request.")
	fs.StringVar(&o.ProxyClientKeyFile, "proxy-client-key-file", o.ProxyClientKeyFile,
		"Private key for the client certificate used to prove the identity of the API server when it calls out during a request.")
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir,
		"Directory of the embedded etcd, which runs when --etcd-servers is empty.")
}

func (o *ServiceAccountOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringArrayVar(&o.Issuers, "service-account-issuer", o.Issuers,
		"Identifier of the service account token issuer. If given several times, the first is used to generate tokens and all are accepted.")
	fs.StringArrayVar(&o.KeyFiles, "service-account-key-file", o.KeyFiles,
		"File containing PEM-encoded x509 RSA or ECDSA private or public keys, used to verify ServiceAccount tokens. Can be given several times.")
	fs.StringVar(&o.SigningKeyFile, "service-account-signing-key-file", o.SigningKeyFile,
		"Path to the file that contains the current private key of the service account token issuer. Generated into --cert-dir when empty.")
	fs.DurationVar(&o.MaxTokenExpiration, "service-account-max-token-expiration", o.MaxTokenExpiration,
		"The maximum validity duration of a token created by the service account token issuer.")
	fs.BoolVar(&o.ExtendExpiration, "service-account-extend-token-expiration", o.ExtendExpiration,
		"Turns on projected service account expiration extension during token generation.")
	fs.StringVar(&o.JWKSURI, "service-account-jwks-uri", o.JWKSURI,
		"Overrides the URI for the JSON Web Key Set in the discovery doc served at /.well-known/openid-configuration.")
}

func (o *KubeletOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ClientCertFile, "kubelet-client-certificate", o.ClientCertFile, "Path to a client cert file for TLS to the node agents.")
	fs.StringVar(&o.ClientKeyFile, "kubelet-client-key", o.ClientKeyFile, "Path to a client key file for TLS to the node agents.")
	fs.StringVar(&o.CAFile, "kubelet-certificate-authority", o.CAFile, "Path to a cert file for the certificate authority of the node agents.")
	fs.StringSliceVar(&o.PreferredAddressTypes, "kubelet-preferred-address-types", o.PreferredAddressTypes,
		"List of the preferred NodeAddressTypes to use for connections to node agents.")
	fs.DurationVar(&o.Timeout, "kubelet-timeout", o.Timeout, "Timeout for connecting to node agents.")
}

func (o *ServiceOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ClusterIPRange, "service-cluster-ip-range", o.ClusterIPRange,
		"A CIDR notation IP range from which to assign service cluster IPs; two, comma-separated and of different families, for dual stack.")
	fs.Var(&o.NodePortRange, "service-node-port-range",
		"A port range to reserve for services with NodePort visibility. Inclusive at both ends of the range.")
}

// loopbackIP is what the server's own certificate must also be good for.
var loopbackIP = net.IPv4(127, 0, 0, 1)
