package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/coreos/go-iptables/iptables"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/skiff-project/skiff/cni/plugin"
)

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// Daemon keeps the pod network of one node.
type Daemon struct {
	config   Config
	client   kubernetes.Interface
	cidrs    chan []netip.Prefix // the newest pod CIDRs that were not taken yet
	programs map[bool]*iptables.IPTables
}

// New returns a daemon that has not touched anything yet.
func New(c Config) (*Daemon, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("cni: %w", err)
	}
	c.setDefaults()
	client, err := kubernetes.NewForConfig(c.RESTConfig)
	if err != nil {
		return nil, fmt.Errorf("cni: making the API client: %w", err)
	}
	return &Daemon{config: c, client: client, cidrs: make(chan []netip.Prefix, 1), programs: map[bool]*iptables.IPTables{}}, nil
}

// Run keeps the network until the context ends. What it made stays.
func (d *Daemon) Run(ctx context.Context) error {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName("cni"))
	if d.config.BinDir != "" {
		if _, err := os.Stat(filepath.Join(d.config.BinDir, plugin.Type)); err != nil {
			return fmt.Errorf("cni: looking for the plugin: %w", err)
		}
	}
	factory := informers.NewSharedInformerFactoryWithOptions(d.client, 0, informers.WithTransform(trim),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, d.config.NodeName).String()
		}))
	seen := func(obj any) {
		if node, ok := obj.(*corev1.Node); ok {
			d.setNode(ctx, node)
		}
	}
	_, err := factory.Core().V1().Nodes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: seen, UpdateFunc: func(_, obj any) { seen(obj) },
	})
	if err != nil {
		return fmt.Errorf("cni: watching the node: %w", err)
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	d.loop(ctx)
	return nil
}

// trim drops what the daemon never reads.
func trim(obj any) (any, error) {
	if node, ok := obj.(*corev1.Node); ok {
		node.ManagedFields, node.Status = nil, corev1.NodeStatus{}
	}
	return obj, nil
}

// setNode hands the node's CIDRs to the loop, in place of older ones.
func (d *Daemon) setNode(ctx context.Context, node *corev1.Node) {
	cidrs, err := podCIDRs(node)
	if errors.Is(err, errNoPodCIDR) {
		return
	}
	if err != nil {
		klog.FromContext(ctx).Error(err, "The node's pod CIDRs are unusable")
		return
	}
	for {
		select {
		case d.cidrs <- cidrs:
			return
		default:
		}
		select {
		case <-d.cidrs:
		default: // the loop took it in between
		}
	}
}

// loop applies new CIDRs, and the ones it has every resync period.
func (d *Daemon) loop(ctx context.Context) {
	resync := d.config.Clock.NewTicker(d.config.ResyncPeriod)
	defer resync.Stop()
	var cidrs []netip.Prefix
	var retry <-chan time.Time
	delay := firstRetry
	for {
		select {
		case <-ctx.Done():
			return
		case fresh := <-d.cidrs:
			if slices.Equal(fresh, cidrs) {
				continue
			}
			cidrs = fresh
		case <-resync.C():
		case <-retry:
		}
		retry = nil
		if len(cidrs) == 0 {
			continue
		}
		if err := d.apply(ctx, cidrs); err != nil {
			klog.FromContext(ctx).Error(err, "Preparing the pod network failed, trying again", "after", delay)
			retry, delay = d.config.Clock.After(delay), min(2*delay, lastRetry)
			continue
		}
		delay = firstRetry
	}
}
