package framework

import (
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
)

// CycleState holds what plugins remember during one scheduling cycle. A cycle is
// worked on by one goroutine at a time, so there is no lock.
type CycleState struct {
	data                            map[fwk.StateKey]fwk.StateData
	skipFilter, skipScore, skipBind sets.Set[string]
	parallelBind                    sets.Set[string]
}

var _ fwk.CycleState = &CycleState{}

// NewCycleState returns an empty state.
func NewCycleState() *CycleState { return &CycleState{data: map[fwk.StateKey]fwk.StateData{}} }

// Read returns what was written under the key, or framework.ErrNotFound.
func (s *CycleState) Read(key fwk.StateKey) (fwk.StateData, error) {
	if data, found := s.data[key]; found {
		return data, nil
	}
	return nil, fwk.ErrNotFound
}

// Write and its siblings implement framework.CycleState.
func (s *CycleState) Write(key fwk.StateKey, data fwk.StateData)       { s.data[key] = data }
func (s *CycleState) Delete(key fwk.StateKey)                          { delete(s.data, key) }
func (s *CycleState) ShouldRecordPluginMetrics() bool                  { return false }
func (s *CycleState) GetSkipFilterPlugins() sets.Set[string]           { return s.skipFilter }
func (s *CycleState) SetSkipFilterPlugins(names sets.Set[string])      { s.skipFilter = names }
func (s *CycleState) GetSkipScorePlugins() sets.Set[string]            { return s.skipScore }
func (s *CycleState) SetSkipScorePlugins(names sets.Set[string])       { s.skipScore = names }
func (s *CycleState) GetSkipPreBindPlugins() sets.Set[string]          { return s.skipBind }
func (s *CycleState) SetSkipPreBindPlugins(names sets.Set[string])     { s.skipBind = names }
func (s *CycleState) GetParallelPreBindPlugins() sets.Set[string]      { return s.parallelBind }
func (s *CycleState) SetParallelPreBindPlugins(names sets.Set[string]) { s.parallelBind = names }
func (s *CycleState) ShouldSkipAllPostFilterPlugins() bool             { return false }

// Pod groups are scheduled by a plugin of their own; a pod's cycle is not part of
// a group's.
func (s *CycleState) IsPodGroupSchedulingCycle() bool                    { return false }
func (s *CycleState) GetPodGroupSchedulingCycle() fwk.PodGroupCycleState { return nil }
func (s *CycleState) GetPlacementCycleState() fwk.PlacementCycleState    { return nil }

// Clone copies the state, and each datum as it sees fit.
func (s *CycleState) Clone() fwk.CycleState {
	if s == nil {
		return nil
	}
	copied := NewCycleState()
	copied.skipFilter, copied.skipScore, copied.skipBind = s.skipFilter.Clone(), s.skipScore.Clone(), s.skipBind.Clone()
	copied.parallelBind = s.parallelBind.Clone()
	for key, data := range s.data {
		copied.data[key] = data.Clone()
	}
	return copied
}
