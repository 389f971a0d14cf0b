package nodelifecycle

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/component-helpers/node/topology"
)

const (
	secondaryRate      = 0.01 // evictions per second in a large zone that is half dead
	largeZone          = 50   // nodes; in smaller half-dead zones evictions stop
	unhealthyThreshold = 0.55
)

// zoneState says how much of a zone is lost.
type zoneState int

const (
	zoneNormal zoneState = iota
	zonePartial
	zoneFull
)

// census counts the nodes of a zone.
type census struct{ ready, lost int }

func (c census) state() zoneState {
	total := float64(c.ready + c.lost)
	switch {
	case c.ready == 0 && c.lost > 0:
		return zoneFull
	case c.lost > 2 && float64(c.lost)/total >= unhealthyThreshold:
		return zonePartial
	default:
		return zoneNormal
	}
}

// count takes the census of all zones.
func count(nodes []corev1.Node) map[string]census {
	out := make(map[string]census)
	for i := range nodes {
		zone := topology.GetZoneKey(&nodes[i])
		c := out[zone]
		if readiness(&nodes[i]) == corev1.ConditionTrue {
			c.ready++
		} else {
			c.lost++
		}
		out[zone] = c
	}
	return out
}

// rate returns how many nodes per second may be emptied in a zone; all tells
// that every zone is lost.
func rate(c census, normal float32) float32 {
	if c.state() != zonePartial {
		return normal
	}
	if c.ready+c.lost > largeZone {
		return secondaryRate
	}
	return 0
}

func allLost(zones map[string]census) bool {
	for _, c := range zones {
		if c.state() != zoneFull {
			return false
		}
	}
	return len(zones) > 0
}

// limits keeps a rate limiter per zone.
type limits struct {
	mu    sync.Mutex
	zones map[string]*limit
}

type limit struct {
	rate    float32
	limiter flowcontrol.PassiveRateLimiter
}

// take asks whether one more node of the zone may be emptied now.
func (l *limits) take(zone string, perSecond float32) bool {
	if perSecond <= 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.zones == nil {
		l.zones = make(map[string]*limit)
	}
	z := l.zones[zone]
	if z == nil || z.rate != perSecond {
		z = &limit{rate: perSecond, limiter: flowcontrol.NewTokenBucketPassiveRateLimiter(perSecond, 1)}
		l.zones[zone] = z
	}
	return z.limiter.TryAccept()
}
