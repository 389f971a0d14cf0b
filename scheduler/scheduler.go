package scheduler

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"

	"github.com/skiff-project/skiff/scheduler/framework"
	"github.com/skiff-project/skiff/scheduler/queue"
	"github.com/skiff-project/skiff/scheduler/snapshot"
)

// Scheduler places pods.
type Scheduler struct {
	cfg      Config
	client   kubernetes.Interface
	profile  *framework.Profile
	cache    *snapshot.Cache
	queue    *queue.Queue
	pods     corelisters.PodLister
	recorder events.EventRecorderLogger
	binding  sync.WaitGroup
}

// New checks the configuration; it does no I/O.
func New(cfg Config) (*Scheduler, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	client, err := newClient(cfg.RESTConfig)
	if err != nil {
		return nil, fmt.Errorf("building the client: %w", err)
	}
	profile, err := defaultProfile(cfg.SchedulerName, client.CoreV1())
	if err != nil {
		return nil, err
	}
	registered, err := profile.EventsByPlugin(context.Background())
	if err != nil {
		return nil, err
	}
	return &Scheduler{
		cfg: cfg, client: client, profile: profile, cache: snapshot.NewCache(),
		queue: queue.New(queue.Config{Less: profile.Less, PreEnqueue: profile.PreEnqueue, Events: registered, Clock: cfg.Clock}),
	}, nil
}

// Run schedules until ctx ends. With leader election it waits for the lease first,
// and returns an error if it loses it.
func (s *Scheduler) Run(ctx context.Context) error {
	if !s.cfg.LeaderElect {
		return s.work(ctx)
	}
	elected := make(chan context.Context, 1) // ends with the leadership
	elector, err := s.elector(func(leading context.Context) { elected <- leading })
	if err != nil {
		return fmt.Errorf("preparing the leader election: %w", err)
	}
	// The lease outlives ctx: it is given back only when the work is over.
	holding, release := context.WithCancel(context.WithoutCancel(ctx))
	released := make(chan struct{})
	go func() {
		defer close(released)
		elector.Run(holding)
	}()
	defer func() {
		release()
		<-released
	}()
	select {
	case <-ctx.Done():
		return nil
	case leading := <-elected:
		working, stop := context.WithCancel(ctx)
		defer stop()
		defer context.AfterFunc(leading, stop)()
		err := s.work(working)
		if ctx.Err() == nil && leading.Err() != nil {
			return errors.Join(errors.New("the leader election was lost"), err)
		}
		return err
	}
}

func (s *Scheduler) elector(elected func(ctx context.Context)) (*leaderelection.LeaderElector, error) {
	hostname, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("naming this candidate: %w", err)
	}
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, metav1.NamespaceSystem, "kube-scheduler",
		s.client.CoreV1(), s.client.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: hostname + "_" + uuid.NewString()})
	if err != nil {
		return nil, fmt.Errorf("making the lock: %w", err)
	}
	return leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: s.cfg.LeaseDuration, RenewDeadline: s.cfg.RenewDeadline, RetryPeriod: s.cfg.RetryPeriod,
		ReleaseOnCancel: true, Name: "kube-scheduler",
		Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: elected, OnStoppedLeading: func() {}},
	})
}

// work runs the informers and the loop.
func (s *Scheduler) work(ctx context.Context) error {
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: s.client.EventsV1()})
	if err := broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
		return fmt.Errorf("starting the event recorder: %w", err)
	}
	defer broadcaster.Shutdown()
	s.recorder = broadcaster.NewRecorder(scheme.Scheme, s.cfg.SchedulerName)

	stop, err := s.watch(ctx)
	if err != nil {
		return err
	}
	defer stop()
	klog.FromContext(ctx).Info("Scheduling", "schedulerName", s.cfg.SchedulerName)
	for {
		pod, err := s.queue.Pop(ctx)
		if err != nil {
			break // ctx ended
		}
		s.scheduleOne(ctx, pod)
	}
	s.binding.Wait()
	return nil
}
