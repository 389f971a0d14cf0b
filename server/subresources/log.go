package subresources

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericrest "k8s.io/apiserver/pkg/registry/generic/rest"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/skiff-project/skiff/server/registry"
)

// logStorage serves pods/log from the agent of the pod's node.
type logStorage struct {
	pods  *registry.Store
	nodes *Nodes
}

var (
	_ rest.GetterWithOptions = &logStorage{}
	_ rest.StorageMetadata   = &logStorage{}
)

func newLog(cfg Config, store *registry.Store) rest.Storage { return &logStorage{store, cfg.Nodes} }

func (l *logStorage) New() runtime.Object { return &corev1.Pod{} }
func (l *logStorage) Destroy()            {}

// ProducesMIMETypes implements rest.StorageMetadata.
func (l *logStorage) ProducesMIMETypes(string) []string { return []string{"text/plain"} }

// ProducesObject implements rest.StorageMetadata: the answer is text.
func (l *logStorage) ProducesObject(string) any { return "" }

// OverrideMetricsVerb tells the request metrics that a log is no plain GET.
func (l *logStorage) OverrideMetricsVerb(verb string) string {
	if verb == "GET" {
		return "CONNECT"
	}
	return verb
}

// NewGetOptions implements rest.GetterWithOptions.
func (l *logStorage) NewGetOptions() (runtime.Object, bool, string) {
	return &corev1.PodLogOptions{}, false, ""
}

// ConvertToTable implements rest.TableConvertor.
func (l *logStorage) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return l.pods.ConvertToTable(ctx, obj, options)
}

// Get implements rest.GetterWithOptions.
func (l *logStorage) Get(ctx context.Context, name string, opts runtime.Object) (runtime.Object, error) {
	options, ok := opts.(*corev1.PodLogOptions)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("invalid options object: %#v", opts))
	}
	if errs := validateLogOptions(options); len(errs) > 0 {
		return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("PodLogOptions").GroupKind(), name, errs)
	}
	pod, err := getPod(ctx, l.pods, name)
	if err != nil {
		return nil, err
	}
	container, err := pickContainer(pod, options.Container)
	if err != nil {
		return nil, err
	}
	stream := &genericrest.LocationStreamer{
		ContentType:     "text/plain",
		Flush:           options.Follow,
		ResponseChecker: genericrest.NewGenericHttpResponseChecker(corev1.Resource("pods/log"), name),
		RedirectChecker: genericrest.PreventRedirects,
	}
	if pod.Spec.NodeName == "" {
		return stream, nil // nobody has run it: its log is empty
	}
	to, err := l.nodes.onNode(ctx, pod, logQuery(options), "containerLogs", pod.Namespace, pod.Name, container)
	if err != nil {
		return nil, err
	}
	stream.Location, stream.Transport = to.url, to.transport
	return stream, nil
}

func validateLogOptions(options *corev1.PodLogOptions) field.ErrorList {
	var errs field.ErrorList
	if lines := options.TailLines; lines != nil && *lines < 0 {
		errs = append(errs, field.Invalid(field.NewPath("tailLines"), *lines, "must be greater than or equal to 0"))
	}
	if limit := options.LimitBytes; limit != nil && *limit < 1 {
		errs = append(errs, field.Invalid(field.NewPath("limitBytes"), *limit, "must be greater than 0"))
	}
	switch {
	case options.SinceSeconds != nil && options.SinceTime != nil:
		errs = append(errs, field.Forbidden(field.NewPath(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"))
	case options.SinceSeconds != nil && *options.SinceSeconds < 1:
		errs = append(errs, field.Invalid(field.NewPath("sinceSeconds"), *options.SinceSeconds, "must be greater than 0"))
	}
	if stream := options.Stream; stream != nil {
		switch *stream {
		case corev1.LogStreamAll, corev1.LogStreamStdout, corev1.LogStreamStderr:
		default:
			errs = append(errs, field.NotSupported(field.NewPath("stream"), *stream,
				[]string{corev1.LogStreamAll, corev1.LogStreamStdout, corev1.LogStreamStderr}))
		}
		if *stream != corev1.LogStreamAll && options.TailLines != nil {
			errs = append(errs, field.Forbidden(field.NewPath(""), "`tailLines` and specific `stream` are mutually exclusive for now"))
		}
	}
	return errs
}

// logQuery returns the parameters in which the node agent takes the options.
func logQuery(options *corev1.PodLogOptions) url.Values {
	query := url.Values{}
	flag := func(name string, on bool) {
		if on {
			query.Set(name, "true")
		}
	}
	number := func(name string, value *int64) {
		if value != nil {
			query.Set(name, strconv.FormatInt(*value, 10))
		}
	}
	flag("follow", options.Follow)
	flag("previous", options.Previous)
	flag("timestamps", options.Timestamps)
	number("sinceSeconds", options.SinceSeconds)
	number("tailLines", options.TailLines)
	number("limitBytes", options.LimitBytes)
	if options.SinceTime != nil {
		query.Set("sinceTime", options.SinceTime.Format(time.RFC3339))
	}
	if options.Stream != nil && *options.Stream != corev1.LogStreamAll {
		query.Set("stream", *options.Stream)
	}
	return query
}
