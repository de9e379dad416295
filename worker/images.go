package worker

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Images are what images start, by name. Argo's controller reads the same from its
// configuration's `images`.
type Images map[string]Image

// Image is what an image starts where a template gives no command.
type Image struct {
	Entrypoint []string `yaml:"entrypoint"`
	Cmd        []string `yaml:"cmd"` // where the template gives no arguments either
}

// ParseImages reads YAML such as
//
//	python:alpine: {cmd: [python3]}
//	argoproj/argosay: {entrypoint: [argosay], cmd: [echo]}
//
// A name without a tag means every tag.
func ParseImages(data []byte) (Images, error) {
	var images Images
	if err := yaml.Unmarshal(data, &images); err != nil {
		return nil, fmt.Errorf("reading images: %w", err)
	}
	for name, i := range images {
		if len(i.Entrypoint)+len(i.Cmd) == 0 {
			return nil, fmt.Errorf("image %q has neither entrypoint nor cmd", name)
		}
	}
	return images, nil
}

// Start returns the command of an image and its arguments. It is not ok if nothing is known of
// the image.
func (i Images) Start(image string, args []string) (command, arguments []string, ok bool) {
	found, ok := i[image]
	if !ok {
		found, ok = i[untagged(image)]
	}
	if !ok {
		return nil, nil, false
	}
	if len(args) == 0 {
		args = found.Cmd
	}
	if len(found.Entrypoint) == 0 { // then the arguments are the command
		return args[:1], args[1:], true
	}
	return found.Entrypoint, args, true
}

// untagged is an image's name without tag and digest.
func untagged(image string) string {
	name, _, _ := strings.Cut(image, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name = name[:colon]
	}
	return name
}
