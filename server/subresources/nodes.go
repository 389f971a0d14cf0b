package subresources

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/transport"

	nodehelper "github.com/skiff-project/skiff/apis/helpers/node"
	"github.com/skiff-project/skiff/server/registry"
)

// defaultNodePort is where a node agent listens that does not say otherwise.
const defaultNodePort = 10250

// NodesConfig says how the server reaches node agents and proxied backends.
type NodesConfig struct {
	// ClientCertFile and ClientKeyFile prove the server's identity to the agents;
	// they are read again when they change.
	ClientCertFile, ClientKeyFile string
	// CAFile verifies the agents' certificates; empty: the host's roots.
	CAFile string
	// AddressTypes lists the node addresses to use, the best first.
	AddressTypes []corev1.NodeAddressType
	// DialTimeout limits connecting.
	DialTimeout time.Duration
}

// Nodes reaches node agents over TLS, and the backends of proxy subresources.
type Nodes struct {
	config NodesConfig
	agents http.RoundTripper
	// backends verifies no certificates: what runs in a pod has whatever
	// certificate it likes, and https to it only keeps the traffic private.
	backends http.RoundTripper
	nodes    *registry.Store
}

// NewNodes returns a Nodes that looks nodes up in the store of nodes.
func NewNodes(config NodesConfig, nodes *registry.Store) (*Nodes, error) {
	if nodes == nil {
		return nil, errors.New("reaching nodes needs the store of nodes")
	}
	dialer := &net.Dialer{Timeout: config.DialTimeout, KeepAlive: 30 * time.Second}
	agents, err := transport.New(&transport.Config{
		DialHolder: &transport.DialHolder{Dial: dialer.DialContext},
		TLS: transport.TLSConfig{
			CAFile:         config.CAFile,
			CertFile:       config.ClientCertFile,
			KeyFile:        config.ClientKeyFile,
			ReloadTLSFiles: true,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("building the transport to node agents: %w", err)
	}
	backends := utilnet.SetTransportDefaults(&http.Transport{
		DialContext:     dialer.DialContext,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	})
	return &Nodes{config: config, agents: agents, backends: backends, nodes: nodes}, nil
}

// target is where to send a request, and by which transport.
type target struct {
	url       *url.URL
	transport http.RoundTripper
}

func (n *Nodes) get(ctx context.Context, name string) (*corev1.Node, error) {
	obj, err := n.nodes.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	node, ok := obj.(*corev1.Node)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("unexpected %T", obj))
	}
	return node, nil
}

// agent returns the root of the node's agent.
func (n *Nodes) agent(ctx context.Context, name string) (target, error) {
	node, err := n.get(ctx, name)
	if err != nil {
		return target{}, err
	}
	host, err := n.address(node)
	if err != nil {
		return target{}, apierrors.NewServiceUnavailable(err.Error())
	}
	location := &url.URL{Scheme: "https", Host: net.JoinHostPort(host, strconv.Itoa(int(agentPort(node))))}
	return target{url: location, transport: n.agents}, nil
}

func agentPort(node *corev1.Node) int32 {
	if port := node.Status.DaemonEndpoints.KubeletEndpoint.Port; port > 0 {
		return port
	}
	return defaultNodePort
}

// address returns the best address of the node.
func (n *Nodes) address(node *corev1.Node) (string, error) {
	for _, addressType := range n.config.AddressTypes {
		if address := nodehelper.Address(node, addressType); address != "" {
			return address, nil
		}
	}
	return "", fmt.Errorf("no preferred addresses found; known addresses: %v", node.Status.Addresses)
}

// proxied returns the location of an address for a proxy subresource. Addresses
// that lead to the API server's own host are refused.
func (n *Nodes) proxied(scheme, host, port string) (target, error) {
	if err := checkProxyable(host); err != nil {
		return target{}, apierrors.NewBadRequest(err.Error())
	}
	if scheme == "" {
		scheme = "http"
	}
	return target{url: &url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port)}, transport: n.backends}, nil
}

func checkProxyable(host string) error {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return fmt.Errorf("%q is not an IP address", host)
	}
	if addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsLinkLocalMulticast() || addr.IsInterfaceLocalMulticast() || addr.IsUnspecified() {
		return errors.New("address not allowed")
	}
	return nil
}
