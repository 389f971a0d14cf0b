package scheduler

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"
)

// Options are the flags of a scheduler that runs alone, named as kube-scheduler's.
type Options struct {
	Kubeconfig    string
	SchedulerName string
	LeaderElect   bool
	LeaseDuration time.Duration
	RenewDeadline time.Duration
	RetryPeriod   time.Duration
}

// NewOptions returns the defaults of kube-scheduler.
func NewOptions() *Options {
	return &Options{LeaderElect: true, LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second}
}

// AddFlags registers the flags on fs.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "kubeconfig that says how to reach the API server")
	fs.StringVar(&o.SchedulerName, "scheduler-name", o.SchedulerName, "spec.schedulerName of the pods to schedule (default: default-scheduler)")
	fs.BoolVar(&o.LeaderElect, "leader-elect", o.LeaderElect, "work only while holding the lease kube-system/kube-scheduler")
	fs.DurationVar(&o.LeaseDuration, "leader-elect-lease-duration", o.LeaseDuration, "how long others wait for a silent leader")
	fs.DurationVar(&o.RenewDeadline, "leader-elect-renew-deadline", o.RenewDeadline, "how long a leader tries to renew before it gives up")
	fs.DurationVar(&o.RetryPeriod, "leader-elect-retry-period", o.RetryPeriod, "time between two tries")
}

// Validate returns everything that is wrong, each naming its flag.
func (o *Options) Validate() []error {
	var problems []error
	if o.Kubeconfig == "" {
		problems = append(problems, errors.New("--kubeconfig is required"))
	}
	if o.LeaseDuration <= o.RenewDeadline {
		problems = append(problems, fmt.Errorf("--leader-elect-lease-duration (%s) must be longer than --leader-elect-renew-deadline (%s)", o.LeaseDuration, o.RenewDeadline))
	}
	if o.RenewDeadline <= o.RetryPeriod {
		problems = append(problems, fmt.Errorf("--leader-elect-renew-deadline (%s) must be longer than --leader-elect-retry-period (%s)", o.RenewDeadline, o.RetryPeriod))
	}
	return problems
}

// Config reads the kubeconfig.
func (o *Options) Config() (Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return Config{}, fmt.Errorf("reading --kubeconfig: %w", err)
	}
	return Config{
		RESTConfig: config, SchedulerName: o.SchedulerName, LeaderElect: o.LeaderElect,
		LeaseDuration: o.LeaseDuration, RenewDeadline: o.RenewDeadline, RetryPeriod: o.RetryPeriod,
	}, nil
}
