package subresources

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	streams "k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/streaming/pkg/httpstream/wsstream"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/server/registry"
)

// streamStorage serves exec, attach and port-forward: it hands the client's
// upgraded connection to the node agent. The agent speaks SPDY; WebSocket
// clients are translated here.
type streamStorage struct {
	pods       *registry.Store
	nodes      *Nodes
	authorizer authorizer.Authorizer
	options    func() runtime.Object
	// locate returns the agent's URL of the stream.
	locate func(ctx context.Context, s *streamStorage, pod *corev1.Pod, options runtime.Object) (target, error)
	// translate wraps the handler of SPDY clients with one that serves WebSockets.
	translate func(spdy http.Handler, to target, options runtime.Object) http.Handler
}

var _ rest.Connecter = &streamStorage{}

func newExec(cfg Config, store *registry.Store) rest.Storage {
	return newStdioStream(cfg, store, "exec", func(o *corev1.PodExecOptions) (stdio, error) {
		if len(o.Command) == 0 {
			return stdio{}, apierrors.NewBadRequest("you must specify at least one command for the container")
		}
		return stdio{
			container: o.Container, command: o.Command,
			streams: streams.Options{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Tty: o.TTY},
		}, nil
	})
}

func newAttach(cfg Config, store *registry.Store) rest.Storage {
	return newStdioStream(cfg, store, "attach", func(o *corev1.PodAttachOptions) (stdio, error) {
		return stdio{
			container: o.Container,
			streams:   streams.Options{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Tty: o.TTY},
		}, nil
	})
}

// stdio is what exec and attach are asked for.
type stdio struct {
	container string
	command   []string
	streams   streams.Options
}

// newStdioStream returns a stream of a container's standard input and output. T is
// the kind of its options; path is what the agent calls it.
func newStdioStream[T any, PT resource.Object[T]](cfg Config, store *registry.Store, path string, read func(PT) (stdio, error)) rest.Storage {
	return &streamStorage{
		pods: store, nodes: cfg.Nodes, authorizer: cfg.Authorizer,
		options: func() runtime.Object { return PT(new(T)) },
		locate: func(ctx context.Context, s *streamStorage, pod *corev1.Pod, obj runtime.Object) (target, error) {
			options, ok := obj.(PT)
			if !ok {
				return target{}, apierrors.NewInternalError(fmt.Errorf("invalid options object: %#v", obj))
			}
			wanted, err := read(options)
			if err != nil {
				return target{}, err
			}
			query := stdioQuery(wanted.streams)
			if len(wanted.command) > 0 {
				query["command"] = wanted.command
			}
			return s.toContainer(ctx, pod, wanted.container, path, query)
		},
		translate: func(spdy http.Handler, to target, obj runtime.Object) http.Handler {
			options, _ := obj.(PT)
			wanted, _ := read(options) // locate has read it already
			return translateStdio(spdy, to, wanted.streams)
		},
	}
}

func newPortForward(cfg Config, store *registry.Store) rest.Storage {
	return &streamStorage{
		pods: store, nodes: cfg.Nodes, authorizer: cfg.Authorizer,
		options: func() runtime.Object { return &corev1.PodPortForwardOptions{} },
		locate: func(ctx context.Context, s *streamStorage, pod *corev1.Pod, obj runtime.Object) (target, error) {
			o, ok := obj.(*corev1.PodPortForwardOptions)
			if !ok {
				return target{}, apierrors.NewInternalError(fmt.Errorf("invalid options object: %#v", obj))
			}
			query := url.Values{}
			for _, port := range o.Ports {
				query.Add("port", strconv.Itoa(int(port)))
			}
			return s.nodes.onNode(ctx, pod, query, "portForward", pod.Namespace, pod.Name)
		},
		translate: func(spdy http.Handler, _ target, _ runtime.Object) http.Handler {
			return streams.NewTranslatingHandler(spdy, streams.NewTunnelingHandler(spdy), wsstream.IsWebSocketRequestWithTunnelingProtocol)
		},
	}
}

func (s *streamStorage) New() runtime.Object { return s.options() }
func (s *streamStorage) Destroy()            {}

// NewConnectOptions implements rest.Connecter.
func (s *streamStorage) NewConnectOptions() (runtime.Object, bool, string) {
	return s.options(), false, ""
}

// ConnectMethods implements rest.Connecter. WebSocket clients must use GET.
func (s *streamStorage) ConnectMethods() []string { return []string{http.MethodGet, http.MethodPost} }

// Connect implements rest.Connecter.
func (s *streamStorage) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	if err := s.authorizeCreate(ctx); err != nil {
		return nil, err
	}
	pod, err := getPod(ctx, s.pods, name)
	if err != nil {
		return nil, err
	}
	to, err := s.locate(ctx, s, pod, options)
	if err != nil {
		return nil, err
	}
	spdy := proxy.NewUpgradeAwareHandler(to.url, to.transport, false, true, proxy.NewErrorResponder(responder))
	return s.translate(spdy, to, options), nil
}

// authorizeCreate makes sure that whoever may only read pods cannot run commands
// in them: a WebSocket upgrade is a GET request, which was authorized as such.
func (s *streamStorage) authorizeCreate(ctx context.Context) error {
	info, ok := request.RequestInfoFrom(ctx)
	if !ok || info.Verb != "get" || s.authorizer == nil {
		return nil
	}
	attributes, err := filters.GetAuthorizerAttributes(ctx)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	decision, reason, err := s.authorizer.Authorize(ctx, createAttributes{attributes})
	if decision == authorizer.DecisionAllow {
		return nil
	}
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	return apierrors.NewForbidden(s.pods.Row().GroupResource(), info.Name, fmt.Errorf("%s", reason))
}

// createAttributes are those of the same request with another verb.
type createAttributes struct{ authorizer.Attributes }

func (createAttributes) GetVerb() string { return "create" }

func (s *streamStorage) toContainer(ctx context.Context, pod *corev1.Pod, container, verb string, query url.Values) (target, error) {
	container, err := pickContainer(pod, container)
	if err != nil {
		return target{}, err
	}
	return s.nodes.onNode(ctx, pod, query, verb, pod.Namespace, pod.Name, container)
}

// stdioQuery returns the parameters in which node agents take the wished streams.
func stdioQuery(o streams.Options) url.Values {
	query := url.Values{}
	for name, on := range map[string]bool{
		corev1.ExecStdinParam: o.Stdin, corev1.ExecStdoutParam: o.Stdout,
		corev1.ExecStderrParam: o.Stderr && !o.Tty, corev1.ExecTTYParam: o.Tty,
	} {
		if on {
			query.Set(name, "1")
		}
	}
	return query
}

func translateStdio(spdy http.Handler, to target, options streams.Options) http.Handler {
	translator := streams.NewStreamTranslatorHandler(to.url, to.transport, 0, options)
	return streams.NewTranslatingHandler(spdy, translator, wsstream.IsWebSocketRequestWithStreamCloseProtocol)
}
