// Package images decides whether a container's image must be pulled, pulls it
// with the credentials of the pod's secrets, and says in kube's words what
// became of it. An image that is in the engine already is used as it is.
package images

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/clock"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// The reasons of a container that waits for its image (ContainerStateWaiting.Reason).
const (
	ReasonErrImagePull      = "ErrImagePull"
	ReasonImagePullBackOff  = "ImagePullBackOff"
	ReasonErrImageNeverPull = "ErrImageNeverPull"
	ReasonInvalidImageName  = "InvalidImageName"
	ReasonImageInspectError = "ImageInspectError"
)

// The reasons of the events about images.
const (
	eventPulling        = "Pulling"
	eventPulled         = "Pulled"
	eventFailed         = "Failed"
	eventInspectFailed  = "InspectFailed"
	eventNeverPull      = "ErrImageNeverPull"
	eventBackOff        = "BackOff"
	defaultBackoff      = 10 * time.Second
	defaultBackoffLimit = 300 * time.Second
)

// Error says why an image is not here. Reason and Message are the container's waiting
// state; the caller's own event is "Error: <Reason>".
type Error struct {
	Reason  string
	Message string
}

func (e *Error) Error() string { return e.Reason + ": " + e.Message }

// Config is what a Puller needs.
type Config struct {
	Images runtime.Images
	Clock  clock.Clock
	// MaxParallel pulls at once; 0 is no limit. (The engine limits layers at once by itself.)
	MaxParallel int
	// QPS and Burst limit how often pulls start; QPS 0 is no limit. Kube's default is 5 and 10.
	QPS   float32
	Burst int
	// Backoff after failed pulls, from Backoff doubling to BackoffLimit; 0 is kube's default, 10 s to 300 s.
	Backoff, BackoffLimit time.Duration
}

// Puller makes images present.
type Puller struct {
	images  runtime.Images
	clock   clock.Clock
	limiter flowcontrol.RateLimiter
	slots   chan struct{} // nil: no limit
	backoff *flowcontrol.Backoff

	mu       sync.Mutex
	lastErrs map[string]string // by backoff key: the last pull's error
}

// Request asks for the image of one container.
type Request struct {
	PodUID string
	// Image as the pod spec has it.
	Image  string
	Policy corev1.PullPolicy
	// Secrets that the pod names in imagePullSecrets and that exist.
	Secrets []corev1.Secret
	// Event records an event about the container; may be nil.
	Event func(eventType, reason, message string)
}

// New returns a Puller.
func New(config Config) (*Puller, error) {
	if config.Images == nil {
		return nil, errors.New("images: Images is missing")
	}
	if config.Clock == nil {
		return nil, errors.New("images: Clock is missing")
	}
	if config.Backoff == 0 {
		config.Backoff = defaultBackoff
	}
	if config.BackoffLimit == 0 {
		config.BackoffLimit = defaultBackoffLimit
	}
	p := &Puller{
		images:   config.Images,
		clock:    config.Clock,
		limiter:  flowcontrol.NewFakeAlwaysRateLimiter(),
		backoff:  flowcontrol.NewBackOff(config.Backoff, config.BackoffLimit),
		lastErrs: map[string]string{},
	}
	p.backoff.Clock = config.Clock
	if config.QPS > 0 {
		p.limiter = flowcontrol.NewTokenBucketRateLimiter(config.QPS, max(config.Burst, 1))
	}
	if config.MaxParallel > 0 {
		p.slots = make(chan struct{}, config.MaxParallel)
	}
	return p, nil
}

// Ensure returns the image, pulled if the policy wants it. A failure is an *Error; one with ReasonImagePullBackOff
// is worth a new call after RetryAfter.
func (p *Puller) Ensure(ctx context.Context, request Request) (runtime.Image, error) {
	event := request.Event
	if event == nil {
		event = func(_, _, _ string) {}
	}
	ref, err := Normalize(request.Image)
	if err != nil {
		message := fmt.Sprintf("Failed to apply default image tag %q: %v", request.Image, err)
		event(corev1.EventTypeWarning, eventInspectFailed, message)
		return runtime.Image{}, &Error{Reason: ReasonInvalidImageName, Message: message}
	}
	image, err := p.images.InspectImage(ctx, ref)
	present := err == nil
	if err != nil && !runtime.IsNotFound(err) {
		message := fmt.Sprintf("Failed to inspect image %q: %v", ref, err)
		event(corev1.EventTypeWarning, eventInspectFailed, message)
		return runtime.Image{}, &Error{Reason: ReasonImageInspectError, Message: message}
	}
	if present && request.Policy != corev1.PullAlways {
		event(corev1.EventTypeNormal, eventPulled,
			fmt.Sprintf("Container image %q already present on machine and can be accessed by the pod", request.Image))
		return image, nil
	}
	if request.Policy == corev1.PullNever {
		message := fmt.Sprintf("Container image %q is not present with pull policy of Never", request.Image)
		event(corev1.EventTypeWarning, eventNeverPull, message)
		return runtime.Image{}, &Error{Reason: ReasonErrImageNeverPull, Message: message}
	}
	return p.pull(ctx, request, ref, event)
}

// RetryAfter returns how long a pod's image is still backed off; 0 if it may be pulled now.
func (p *Puller) RetryAfter(podUID, image string) time.Duration {
	key := backoffKey(podUID, image)
	if !p.backoff.IsInBackOffSinceUpdate(key, p.clock.Now()) {
		return 0
	}
	return p.backoff.Get(key)
}

// Forget drops what is known of a pod that is gone.
func (p *Puller) Forget(podUID string, images ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, image := range images {
		key := backoffKey(podUID, image)
		p.backoff.DeleteEntry(key)
		delete(p.lastErrs, key)
	}
	p.backoff.GC()
}

func (p *Puller) pull(ctx context.Context, request Request, ref string, event func(_, _, _ string)) (runtime.Image, error) {
	key := backoffKey(request.PodUID, request.Image)
	if p.backoff.IsInBackOffSinceUpdate(key, p.clock.Now()) {
		message := fmt.Sprintf("Back-off pulling image %q", request.Image)
		event(corev1.EventTypeNormal, eventBackOff, message)
		if last := p.lastError(key); last != "" {
			message += ": " + last
		}
		return runtime.Image{}, &Error{Reason: ReasonImagePullBackOff, Message: message}
	}
	asked := p.clock.Now()
	if err := p.acquire(ctx); err != nil {
		return runtime.Image{}, err
	}
	defer p.release()
	event(corev1.EventTypeNormal, eventPulling, fmt.Sprintf("Pulling image %q", request.Image))
	started := p.clock.Now()
	image, err := p.pullWithSecrets(ctx, ref, request.Secrets)
	if ctx.Err() != nil {
		return runtime.Image{}, ctx.Err() // the pod is going: nothing to report
	}
	if err != nil {
		event(corev1.EventTypeWarning, eventFailed, fmt.Sprintf("Failed to pull image %q: %v", request.Image, err))
		p.backoff.Next(key, p.clock.Now())
		failure := &Error{Reason: ReasonErrImagePull, Message: err.Error()}
		p.mu.Lock()
		p.lastErrs[key] = failure.Error()
		p.mu.Unlock()
		return runtime.Image{}, failure
	}
	ended := p.clock.Now()
	event(corev1.EventTypeNormal, eventPulled, fmt.Sprintf("Successfully pulled image %q in %v (%v including waiting). Image size: %d bytes.",
		request.Image, ended.Sub(started).Truncate(time.Millisecond), ended.Sub(asked).Truncate(time.Millisecond), image.SizeBytes))
	p.Forget(request.PodUID, request.Image)
	return image, nil
}

// pullWithSecrets tries each set of credentials that fits the image, the most specific one first.
func (p *Puller) pullWithSecrets(ctx context.Context, ref string, secrets []corev1.Secret) (runtime.Image, error) {
	// A secret that cannot be read is as good as none; the pull's own error says what is missing.
	credentials, _ := Credentials(secrets, ref)
	if len(credentials) == 0 {
		return p.images.PullImage(ctx, ref, nil, nil)
	}
	var errs []error
	for i := range credentials {
		image, err := p.images.PullImage(ctx, ref, &credentials[i], nil)
		if err == nil {
			return image, nil
		}
		errs = append(errs, err)
	}
	return runtime.Image{}, utilerrors.NewAggregate(errs)
}

func (p *Puller) acquire(ctx context.Context) error {
	if err := p.limiter.Wait(ctx); err != nil {
		return err
	}
	if p.slots == nil {
		return nil
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Puller) release() {
	if p.slots != nil {
		<-p.slots
	}
}

func (p *Puller) lastError(key string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lastErrs[key]
}

func backoffKey(podUID, image string) string { return podUID + "_" + image }
