package framework

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
)

// Score returns the total score of each node, in the order of nodes.
func (p *Profile) Score(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, nodes []fwk.NodeInfo) ([]int64, error) {
	skip := sets.New[string]()
	for _, plugin := range p.preScore {
		status := plugin.PreScore(ctx, state, pod, nodes)
		if status.IsSkip() {
			skip.Insert(plugin.Name())
		} else if !status.IsSuccess() {
			return nil, fmt.Errorf("plugin %s: preparing scores: %w", plugin.Name(), status.AsError())
		}
	}
	state.SetSkipScorePlugins(skip)
	totals := make([]int64, len(nodes))
	for _, plugin := range p.score {
		if skip.Has(plugin.Name()) {
			continue
		}
		scores, err := scoresOf(ctx, plugin, state, pod, nodes)
		if err != nil {
			return nil, err
		}
		for i := range scores {
			totals[i] += scores[i].Score * plugin.weight
		}
	}
	return totals, nil
}

func scoresOf(ctx context.Context, plugin scorer, state fwk.CycleState, pod *corev1.Pod, nodes []fwk.NodeInfo) (fwk.NodeScoreList, error) {
	scores := make(fwk.NodeScoreList, len(nodes))
	for i, node := range nodes {
		score, status := plugin.Score(ctx, state, pod, node)
		if !status.IsSuccess() {
			return nil, fmt.Errorf("plugin %s: scoring node %s: %w", plugin.Name(), node.Node().Name, status.AsError())
		}
		scores[i] = fwk.NodeScore{Name: node.Node().Name, Score: score}
	}
	if extensions := plugin.ScoreExtensions(); extensions != nil {
		if status := extensions.NormalizeScore(ctx, state, pod, scores); !status.IsSuccess() {
			return nil, fmt.Errorf("plugin %s: normalizing scores: %w", plugin.Name(), status.AsError())
		}
	}
	for _, score := range scores {
		if score.Score < fwk.MinScore || score.Score > fwk.MaxScore {
			return nil, fmt.Errorf("plugin %s: node %s has the score %d, out of %d..%d", plugin.Name(), score.Name, score.Score, fwk.MinScore, fwk.MaxScore)
		}
	}
	return scores, nil
}

// Normalize stretches scores so that the highest becomes 100. Reversed, the
// lowest raw score gets the most.
func Normalize(scores fwk.NodeScoreList, reverse bool) {
	var highest int64
	for _, score := range scores {
		highest = max(highest, score.Score)
	}
	for i := range scores {
		if highest > 0 {
			scores[i].Score = scores[i].Score * fwk.MaxScore / highest
		}
		if reverse {
			scores[i].Score = fwk.MaxScore - scores[i].Score
		}
	}
}
