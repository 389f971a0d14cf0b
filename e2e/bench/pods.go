package main

import (
	"context"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

const (
	image      = "skiff-demo/testapp:v1"
	pauseImage = "skiff/pause:1"
	label      = "skiff-bench"
)

// measurePods creates pods one after the other, each paired with the same two
// containers made by Docker alone.
func measurePods(ctx context.Context, c *cluster, r *report, n int) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return fmt.Errorf("reaching Docker: %w", err)
	}
	defer docker.Close()
	var pods, floor []time.Duration
	for range n {
		took, err := readyAfter(ctx, api, 1)
		if err != nil {
			return err
		}
		pods = append(pods, took)
		if took, err = dockerAlone(ctx, docker, 1); err != nil {
			return err
		}
		floor = append(floor, took)
	}
	r.durations("pod, from create to Ready", pods, 600*time.Millisecond, floor)
	return nil
}

func measureBurst(ctx context.Context, c *cluster, r *report, n int) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return fmt.Errorf("reaching Docker: %w", err)
	}
	defer docker.Close()
	var pods, floor []time.Duration
	for range 3 {
		took, err := readyAfter(ctx, api, n)
		if err != nil {
			return err
		}
		pods = append(pods, took)
		if took, err = dockerAlone(ctx, docker, n); err != nil {
			return err
		}
		floor = append(floor, took)
	}
	r.durations(fmt.Sprintf("%d pods at once, until the last is Ready", n), pods, 3300*time.Millisecond, floor)
	return nil
}

// readyAfter creates n pods, returns how long it took until all were Ready, and
// deletes them again.
func readyAfter(ctx context.Context, api kubernetes.Interface, n int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	pods := api.CoreV1().Pods(metav1.NamespaceDefault)
	selector := metav1.ListOptions{LabelSelector: label}
	events, err := pods.Watch(ctx, selector)
	if err != nil {
		return 0, fmt.Errorf("watching pods: %w", err)
	}
	defer events.Stop()
	start := time.Now()
	var group errgroup.Group
	for range n {
		group.Go(func() error {
			_, err := pods.Create(ctx, benchPod(), metav1.CreateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, fmt.Errorf("creating pods: %w", err)
	}
	if err := count(ctx, events, n, func(e watch.Event) bool { return e.Type == watch.Modified && podReady(e.Object.(*corev1.Pod)) }); err != nil {
		return 0, fmt.Errorf("waiting for pods to become Ready: %w", err)
	}
	took := time.Since(start)
	if err := pods.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](1)}, selector); err != nil {
		return 0, fmt.Errorf("deleting pods: %w", err)
	}
	if err := count(ctx, events, n, func(e watch.Event) bool { return e.Type == watch.Deleted }); err != nil {
		return 0, fmt.Errorf("waiting for pods to end: %w", err)
	}
	return took, nil
}

// count waits until n different pods have had an event that matches.
func count(ctx context.Context, events watch.Interface, n int, matches func(watch.Event) bool) error {
	seen := map[string]bool{}
	for len(seen) < n {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d: %w", len(seen), n, ctx.Err())
		case event, open := <-events.ResultChan():
			if !open {
				return fmt.Errorf("the watch ended")
			}
			if pod, ok := event.Object.(*corev1.Pod); ok && matches(event) {
				seen[pod.Name] = true
			}
		}
	}
	return nil
}

func podReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

func benchPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "bench-", Labels: map[string]string{label: "yes"}},
		Spec: corev1.PodSpec{
			Containers:                    []corev1.Container{{Name: "main", Image: image, Command: []string{"sleep", "3600"}}},
			TerminationGracePeriodSeconds: ptr.To[int64](1),
		},
	}
}

// dockerAlone creates and starts what n pods consist of, all at once, and removes
// it again.
func dockerAlone(ctx context.Context, docker *client.Client, n int) (time.Duration, error) {
	ids := make([][2]string, n)
	start := time.Now()
	var group errgroup.Group
	for i := range n {
		group.Go(func() error {
			sandbox, err := createAndStart(ctx, docker, &container.Config{Image: pauseImage}, &container.HostConfig{NetworkMode: "none", IpcMode: "shareable"})
			if err != nil {
				return err
			}
			ids[i][0] = sandbox
			ids[i][1], err = createAndStart(ctx, docker, &container.Config{Image: image, Entrypoint: []string{"sleep"}, Cmd: []string{"3600"}},
				&container.HostConfig{NetworkMode: container.NetworkMode("container:" + sandbox), IpcMode: container.IpcMode("container:" + sandbox)})
			return err
		})
	}
	err := group.Wait()
	took := time.Since(start)
	var removal errgroup.Group
	removal.SetLimit(4)
	for _, pair := range ids {
		for _, id := range pair {
			if id != "" {
				removal.Go(func() error { return docker.ContainerRemove(ctx, id, container.RemoveOptions{Force: true}) })
			}
		}
	}
	if removeErr := removal.Wait(); err == nil {
		err = removeErr
	}
	if err != nil {
		return 0, fmt.Errorf("running containers by Docker alone: %w", err)
	}
	return took, nil
}

func createAndStart(ctx context.Context, docker *client.Client, config *container.Config, host *container.HostConfig) (string, error) {
	created, err := docker.ContainerCreate(ctx, config, host, nil, nil, "")
	if err != nil {
		return "", err
	}
	return created.ID, docker.ContainerStart(ctx, created.ID, container.StartOptions{})
}
