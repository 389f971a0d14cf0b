package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// requestCount is how many requests the API server has answered so far.
func (c *cluster) requestCount(ctx context.Context) (float64, error) {
	client, err := c.client()
	if err != nil {
		return 0, err
	}
	text, err := client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading /metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return 0, fmt.Errorf("parsing /metrics: %w", err)
	}
	var total float64
	for _, metric := range families["apiserver_request_total"].GetMetric() {
		total += metric.GetCounter().GetValue()
	}
	return total, nil
}
