package subresources

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/skiff-project/skiff/server/registry"
)

// proxyStorage serves pods/proxy, services/proxy and nodes/proxy: HTTP to what
// runs behind the object, by way of the API server.
type proxyStorage struct {
	options func() runtime.Object
	// path returns the wished path out of the options.
	path func(options runtime.Object) (string, bool)
	// locate returns where the object, given as [scheme:]name[:port], serves HTTP.
	locate func(ctx context.Context, scheme, name, port string) (target, error)
}

var _ rest.Connecter = &proxyStorage{}

// New returns the options: OpenAPI shows them as the kind of these paths, whose
// methods are none of the object itself.
func (p *proxyStorage) New() runtime.Object { return p.options() }
func (p *proxyStorage) Destroy()            {}

// NewConnectOptions implements rest.Connecter: the path below proxy/ becomes the
// options' field "path".
func (p *proxyStorage) NewConnectOptions() (runtime.Object, bool, string) {
	return p.options(), true, "path"
}

// ConnectMethods implements rest.Connecter.
func (p *proxyStorage) ConnectMethods() []string {
	return []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions}
}

// Connect implements rest.Connecter.
func (p *proxyStorage) Connect(ctx context.Context, id string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	path, ok := p.path(options)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("invalid options object: %#v", options))
	}
	scheme, name, port, valid := utilnet.SplitSchemeNamePort(id)
	if !valid {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid proxy request %q", id))
	}
	to, err := p.locate(ctx, scheme, name, port)
	if err != nil {
		return nil, err
	}
	to.url.Path = utilnet.JoinPreservingTrailingSlash(to.url.Path, path)
	return proxy.NewUpgradeAwareHandler(to.url, to.transport, true, false, proxy.NewErrorResponder(responder)), nil
}

func newNodeProxy(cfg Config, _ *registry.Store) rest.Storage {
	return &proxyStorage{
		options: func() runtime.Object { return &corev1.NodeProxyOptions{} },
		path: func(obj runtime.Object) (string, bool) {
			o, ok := obj.(*corev1.NodeProxyOptions)
			if !ok {
				return "", false
			}
			return o.Path, true
		},
		locate: cfg.Nodes.locateNode,
	}
}

// locateNode returns the node's agent, or the given port of the node.
func (n *Nodes) locateNode(ctx context.Context, scheme, name, port string) (target, error) {
	node, err := n.get(ctx, name)
	if err != nil {
		return target{}, err
	}
	if port == "" || port == strconv.Itoa(int(agentPort(node))) {
		return n.agent(ctx, name)
	}
	host, err := n.address(node)
	if err != nil {
		return target{}, apierrors.NewServiceUnavailable(err.Error())
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return target{}, apierrors.NewBadRequest(fmt.Sprintf("invalid node request %q", name+":"+port))
	}
	if ip, err := net.DefaultResolver.LookupHost(ctx, host); err == nil && len(ip) > 0 {
		host = ip[0] // checked and dialled as the same address
	}
	return n.proxied(scheme, host, port)
}

func newPodProxy(cfg Config, store *registry.Store) rest.Storage {
	return &proxyStorage{
		options: func() runtime.Object { return &corev1.PodProxyOptions{} },
		path: func(obj runtime.Object) (string, bool) {
			o, ok := obj.(*corev1.PodProxyOptions)
			if !ok {
				return "", false
			}
			return o.Path, true
		},
		locate: func(ctx context.Context, scheme, name, port string) (target, error) {
			pod, err := getPod(ctx, store, name)
			if err != nil {
				return target{}, err
			}
			if port == "" {
				port = firstPort(pod)
			}
			if pod.Status.PodIP == "" {
				return target{}, apierrors.NewServiceUnavailable(fmt.Sprintf("pod %q has no address yet", name))
			}
			return cfg.Nodes.proxied(scheme, pod.Status.PodIP, port)
		},
	}
}

// firstPort is the first port that a container of the pod declares.
func firstPort(pod *corev1.Pod) string {
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			return strconv.Itoa(int(p.ContainerPort))
		}
	}
	return "80"
}

func newServiceProxy(cfg Config, store *registry.Store) rest.Storage {
	slices := cfg.Stores[schema.GroupResource{Group: discoveryv1.GroupName, Resource: "endpointslices"}]
	return &proxyStorage{
		options: func() runtime.Object { return &corev1.ServiceProxyOptions{} },
		path: func(obj runtime.Object) (string, bool) {
			o, ok := obj.(*corev1.ServiceProxyOptions)
			if !ok {
				return "", false
			}
			return o.Path, true
		},
		locate: func(ctx context.Context, scheme, name, port string) (target, error) {
			obj, err := store.Get(ctx, name, &metav1.GetOptions{})
			if err != nil {
				return target{}, err
			}
			service, ok := obj.(*corev1.Service)
			if !ok {
				return target{}, apierrors.NewInternalError(fmt.Errorf("unexpected %T", obj))
			}
			portName, ok := servicePortName(service, port)
			if !ok {
				return target{}, apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %q found for service %q", port, name))
			}
			host, endpointPort, err := pickEndpoint(ctx, slices, name, portName)
			if err != nil {
				return target{}, err
			}
			return cfg.Nodes.proxied(scheme, host, endpointPort)
		},
	}
}

// servicePortName returns the name of the service's port that is asked for by
// name or number, or of its only one.
func servicePortName(service *corev1.Service, port string) (string, bool) {
	if port == "" && len(service.Spec.Ports) == 1 {
		return service.Spec.Ports[0].Name, true
	}
	for _, p := range service.Spec.Ports {
		if port != "" && (p.Name == port || strconv.Itoa(int(p.Port)) == port) {
			return p.Name, true
		}
	}
	return "", false
}

// pickEndpoint returns any ready endpoint of the service.
func pickEndpoint(ctx context.Context, slices *registry.Store, service, portName string) (host, port string, err error) {
	obj, err := slices.List(ctx, &metainternalversion.ListOptions{
		LabelSelector:   labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service}),
		ResourceVersion: "0",
	})
	if err != nil {
		return "", "", err
	}
	list, ok := obj.(*discoveryv1.EndpointSliceList)
	if !ok {
		return "", "", apierrors.NewInternalError(fmt.Errorf("unexpected %T", obj))
	}
	type endpoint struct{ host, port string }
	var ready []endpoint
	for i := range list.Items {
		number, ok := slicePort(&list.Items[i], portName)
		if !ok {
			continue
		}
		for _, e := range list.Items[i].Endpoints {
			if len(e.Addresses) > 0 && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				ready = append(ready, endpoint{e.Addresses[0], number})
			}
		}
	}
	if len(ready) == 0 {
		return "", "", apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", service))
	}
	chosen := ready[rand.IntN(len(ready))]
	return chosen.host, chosen.port, nil
}

func slicePort(slice *discoveryv1.EndpointSlice, name string) (string, bool) {
	for _, p := range slice.Ports {
		have := ""
		if p.Name != nil {
			have = *p.Name
		}
		if have == name && p.Port != nil {
			return strconv.Itoa(int(*p.Port)), true
		}
	}
	return "", false
}
