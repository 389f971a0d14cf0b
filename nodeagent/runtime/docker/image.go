package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// InspectImage implements runtime.Images.
func (r *Runtime) InspectImage(ctx context.Context, ref string) (runtime.Image, error) {
	inspected, err := r.client.ImageInspect(ctx, ref)
	if err != nil {
		return runtime.Image{}, wrap("inspecting image "+ref, err)
	}
	result := runtime.Image{
		ID:          inspected.ID,
		RepoTags:    inspected.RepoTags,
		RepoDigests: inspected.RepoDigests,
		SizeBytes:   inspected.Size,
		CreatedAt:   parseTime(inspected.Created),
	}
	if inspected.Config != nil {
		result.User = inspected.Config.User
		result.Entrypoint = inspected.Config.Entrypoint
		result.Cmd = inspected.Config.Cmd
	}
	return result, nil
}

// PullImage implements runtime.Images.
func (r *Runtime) PullImage(ctx context.Context, ref string, auth *runtime.RegistryAuth, progress func(runtime.PullProgress)) (runtime.Image, error) {
	var options image.PullOptions
	if auth != nil {
		encoded, err := registry.EncodeAuthConfig(registry.AuthConfig{
			Username: auth.Username, Password: auth.Password, Auth: auth.Auth, ServerAddress: auth.ServerAddress,
			IdentityToken: auth.IdentityToken, RegistryToken: auth.RegistryToken,
		})
		if err != nil {
			return runtime.Image{}, fmt.Errorf("encoding the credentials for %s: %w", ref, err)
		}
		options.RegistryAuth = encoded
	}
	body, err := r.client.ImagePull(ctx, ref, options)
	if err != nil {
		return runtime.Image{}, pullError(err)
	}
	defer body.Close()
	if err := readProgress(body, progress); err != nil {
		if ctx.Err() != nil {
			return runtime.Image{}, ctx.Err()
		}
		return runtime.Image{}, pullError(err)
	}
	return r.InspectImage(ctx, ref)
}

// progressLine is one line of the engine's answer to a pull or an import.
type progressLine struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Progress struct {
		Current int64 `json:"current"`
		Total   int64 `json:"total"`
	} `json:"progressDetail"`
	Error       string `json:"error"`
	ErrorDetail struct {
		Message string `json:"message"`
	} `json:"errorDetail"`
}

// readProgress reads the engine's answer to its end; a failure comes as one of its lines.
func readProgress(body io.Reader, progress func(runtime.PullProgress)) error {
	type layer struct{ current, total int64 }
	layers := map[string]layer{}
	decoder := json.NewDecoder(body)
	for {
		var line progressLine
		if err := decoder.Decode(&line); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading the engine's progress: %w", err)
		}
		if line.ErrorDetail.Message != "" {
			return errors.New(line.ErrorDetail.Message)
		}
		if line.Error != "" {
			return errors.New(line.Error)
		}
		if progress == nil {
			continue
		}
		if line.Progress.Total > 0 && line.Status == "Downloading" {
			layers[line.ID] = layer{line.Progress.Current, line.Progress.Total}
		} else if done, ok := layers[line.ID]; ok && line.Status == "Download complete" {
			layers[line.ID] = layer{done.total, done.total}
		}
		sum := runtime.PullProgress{Message: line.Status}
		for _, l := range layers {
			sum.CurrentBytes += l.current
			sum.TotalBytes += l.total
		}
		progress(sum)
	}
}

// ListImages implements runtime.Images.
func (r *Runtime) ListImages(ctx context.Context) ([]runtime.Image, error) {
	summaries, err := r.client.ImageList(ctx, image.ListOptions{})
	if err != nil {
		return nil, wrap("listing images", err)
	}
	result := make([]runtime.Image, 0, len(summaries))
	for _, s := range summaries {
		result = append(result, runtime.Image{
			ID:          s.ID,
			RepoTags:    withoutNone(s.RepoTags, "<none>:<none>"),
			RepoDigests: withoutNone(s.RepoDigests, "<none>@<none>"),
			SizeBytes:   s.Size,
			CreatedAt:   time.Unix(s.Created, 0),
		})
	}
	return result, nil
}

// withoutNone drops Docker's word for "no name".
func withoutNone(names []string, none string) []string {
	var result []string
	for _, name := range names {
		if name != none {
			result = append(result, name)
		}
	}
	return result
}

// RemoveImage implements runtime.Images.
func (r *Runtime) RemoveImage(ctx context.Context, id string) error {
	_, err := r.client.ImageRemove(ctx, id, image.RemoveOptions{Force: true, PruneChildren: true})
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return wrap("removing image "+id, err)
}

// ImportImage implements images.Importer.
func (r *Runtime) ImportImage(ctx context.Context, ref string, archive io.Reader, instructions []string) error {
	source := image.ImportSource{Source: archive, SourceName: "-"}
	body, err := r.client.ImageImport(ctx, source, ref, image.ImportOptions{Changes: instructions})
	if err != nil {
		return wrap("importing image "+ref, err)
	}
	defer body.Close()
	if err := readProgress(body, nil); err != nil {
		return fmt.Errorf("importing image %s: %w", ref, err)
	}
	return nil
}
