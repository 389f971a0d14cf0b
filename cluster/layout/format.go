package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Format is the version of the data directory's structure. It grows when an
// older skiff could no longer read what a newer one wrote.
const Format = 1

type formatFile struct {
	Format int    `json:"format"`
	Writer string `json:"writer"` // the skiff version, for messages
}

// CheckFormat refuses a data directory that a newer skiff has written. A missing
// or empty directory is fine. It changes nothing.
func (d DataDir) CheckFormat() error {
	content, err := os.ReadFile(d.FormatFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the data directory's format: %w", err)
	}
	var found formatFile
	if err := json.Unmarshal(content, &found); err != nil || found.Format < 1 {
		return fmt.Errorf("%s is damaged; restore it, or remove %s to start anew", d.FormatFile(), d)
	}
	if found.Format > Format {
		return fmt.Errorf("the data directory %s was written by a newer skiff (%s, format %d; this one reads up to %d): use that version, or another --data-dir",
			d, found.Writer, found.Format, Format)
	}
	return nil
}

// WriteFormat records that writer (a skiff version) now owns the directory. The
// file lasts even through a loss of power: without it the data would be refused.
func (d DataDir) WriteFormat(writer string) error {
	content, err := json.Marshal(formatFile{Format: Format, Writer: writer})
	if err != nil {
		return fmt.Errorf("encoding the data directory's format: %w", err)
	}
	if err := writeAtomically(d.FormatFile(), content); err != nil {
		return fmt.Errorf("writing the data directory's format: %w", err)
	}
	return nil
}

func writeAtomically(path string, content []byte) error {
	temporary := path + ".new"
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
