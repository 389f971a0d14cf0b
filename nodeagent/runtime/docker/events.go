package docker

import (
	"context"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// reconnect paces attempts to reach an engine that is down.
var reconnect = wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Jitter: 0.1, Steps: 6, Cap: 2 * time.Second}

// Watch implements runtime.Events.
func (r *Runtime) Watch(ctx context.Context) <-chan runtime.Event {
	out := make(chan runtime.Event, 64)
	go func() {
		defer close(out)
		backoff := reconnect
		for ctx.Err() == nil {
			connected := r.stream(ctx, out)
			if connected {
				backoff = reconnect
			}
			select {
			case <-ctx.Done():
			case <-time.After(backoff.Step()):
			}
		}
	}()
	return out
}

// stream copies events until the connection ends; it reports whether there was one.
func (r *Runtime) stream(ctx context.Context, out chan<- runtime.Event) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	args := filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)),
		r.ownLabel(),
		filters.Arg("event", string(events.ActionStart)),
		filters.Arg("event", string(events.ActionDie)),
		filters.Arg("event", string(events.ActionDestroy)),
	)
	// Events returns once the engine has answered, so that a list made after
	// the resync cannot miss what comes before the first event.
	messages, errs := r.client.Events(ctx, events.ListOptions{Filters: args})
	select {
	case err := <-errs:
		if ctx.Err() == nil {
			klog.FromContext(ctx).V(2).Info("The Docker Engine does not answer", "err", err)
		}
		return false
	default:
	}
	if !send(ctx, out, runtime.Event{Type: runtime.EventResync, Time: time.Now()}) {
		return true
	}
	for {
		select {
		case message := <-messages:
			if event, ok := eventFrom(message); ok && !send(ctx, out, event) {
				return true
			}
		case err := <-errs:
			if ctx.Err() == nil {
				klog.FromContext(ctx).Info("Lost the Docker Engine's events, connecting again", "err", err)
			}
			return true
		}
	}
}

func send(ctx context.Context, out chan<- runtime.Event, event runtime.Event) bool {
	select {
	case out <- event:
		return true
	case <-ctx.Done():
		return false
	}
}

func eventFrom(message events.Message) (runtime.Event, bool) {
	event := runtime.Event{
		PodUID:      message.Actor.Attributes[labelPodUID],
		ContainerID: message.Actor.ID,
		Container:   message.Actor.Attributes[labelName],
		Time:        time.Unix(0, message.TimeNano),
	}
	if message.Actor.Attributes[labelType] == typeSandbox {
		event.Container = ""
	}
	switch message.Action {
	case events.ActionStart:
		event.Type = runtime.EventStarted
	case events.ActionDie:
		event.Type = runtime.EventDied
	case events.ActionDestroy:
		event.Type = runtime.EventRemoved
	default:
		return runtime.Event{}, false
	}
	return event, event.PodUID != ""
}
