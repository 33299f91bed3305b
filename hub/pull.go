package hub

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Pull downloads a model's config, weights and tokenizer, and returns the folder that they
// are in: its place in the cache, or the folder to if that is not empty. What is there
// already is verified and kept. After an error nothing that is incomplete is in the
// folder, and another Pull goes on where this one ended.
func (c *Client) Pull(ctx context.Context, r Ref, to string) (string, error) {
	dir, err := c.pull(ctx, r, to)
	if err != nil {
		return "", fmt.Errorf("hub: %s: %w", r, err)
	}
	return dir, nil
}

func (c *Client) pull(ctx context.Context, r Ref, to string) (string, error) {
	p, err := c.puller(ctx, repo{models, r}, to)
	if err != nil {
		return "", err
	}
	if err := p.choose(ctx); err != nil {
		return "", err
	}
	return p.run(ctx)
}

// A puller is one Pull.
type puller struct {
	*Client
	listing
	repo
	to    string
	files []file // to download
	done  int64  // bytes of the files that are whole
}

// puller asks what there is.
func (c *Client) puller(ctx context.Context, r repo, to string) (*puller, error) {
	l, err := c.list(ctx, r)
	return &puller{Client: c, repo: r, listing: l, to: to}, err
}

// run downloads the files and returns their folder.
func (p *puller) run(ctx context.Context) (string, error) {
	if err := p.fetchAll(ctx, p.files); err != nil {
		return "", err
	}
	if p.to != "" {
		return p.to, nil
	}
	m := folder{p.Cache, p.repo}
	return m.snapshot(p.commit), m.link(p.commit, p.files)
}

// add puts the files with these names on the list.
func (p *puller) add(ctx context.Context, names []string) error {
	for _, name := range names {
		f, err := p.complete(ctx, p.repo, p.commit, p.listing.files[name])
		if err != nil {
			return err
		}
		p.files = append(p.files, f)
	}
	return nil
}

// choose decides on the files. An index of weights is downloaded for it.
func (p *puller) choose(ctx context.Context) error {
	weights, indexed, err := p.weights()
	if err != nil {
		return err
	}
	if _, ok := p.listing.files["config.json"]; !ok {
		return fmt.Errorf("the model has no config.json: nothing says what its weights are")
	}
	names := weights
	for _, name := range described {
		if _, ok := p.listing.files[name]; ok {
			names = append(names, name)
		}
	}
	if indexed {
		index, err := p.complete(ctx, p.repo, p.commit, p.listing.files[weights[0]])
		if err != nil {
			return err
		}
		if index.Size > maxJSON {
			return fmt.Errorf("%s has %d bytes, at most %d are read", index.Name, index.Size, maxJSON)
		}
		if err := p.fetchAll(ctx, []file{index}); err != nil {
			return err
		}
		data, err := os.ReadFile(p.place(index))
		if err != nil {
			return err
		}
		shards, err := p.shards(index.Name, data)
		if err != nil {
			return err
		}
		names = append(names, shards...)
		p.done = 0
	}
	return p.add(ctx, names)
}

// place is where a file goes.
func (p *puller) place(f file) string {
	if p.to != "" {
		return filepath.Join(p.to, filepath.FromSlash(f.Name))
	}
	return folder{p.Cache, p.repo}.blob(f.Digest)
}

func (p *puller) fetchAll(ctx context.Context, files []file) error {
	var total int64
	for _, f := range files {
		total += f.Size
	}
	for _, f := range files {
		place := p.place(f)
		one := fetch{
			Client: p.Client, file: f, url: p.address(p.repo, p.commit, f.Name), path: place, part: partName(place, f.Digest),
			told: func(done int64) {
				if p.Progress != nil {
					p.Progress(p.done+done, total)
				}
			},
		}
		if err := one.run(ctx); err != nil {
			return err
		}
		p.done += f.Size
	}
	return nil
}
