package cri

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// grace is what a container is given to end in, in seconds.
const grace = 10

// Client speaks to one engine.
type Client struct {
	conn    *grpc.ClientConn
	runtime runtime.RuntimeServiceClient
	images  runtime.ImageServiceClient
}

// Dial names the engine's socket. Nothing is sent yet: see [Client.Version].
func Dial(socket string) (*Client, error) {
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		// A kubelet's, too, comes from an engine that has just been started again.
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", socket, err)
	}
	return &Client{conn, runtime.NewRuntimeServiceClient(conn), runtime.NewImageServiceClient(conn)}, nil
}

// Close ends the connection, and nothing else.
func (c *Client) Close() error { return c.conn.Close() }

// Version is the engine's name and version, once it serves.
func (c *Client) Version(ctx context.Context) (name, version string, err error) {
	r, err := c.runtime.Version(ctx, &runtime.VersionRequest{})
	return r.GetRuntimeName(), r.GetRuntimeVersion(), err
}

// Handlers lists the engine's runtime handlers, sorted, without the default's second
// name "". An engine from before Kubernetes 1.30 tells them only with its whole
// configuration, in words of its own: those of containerd are understood.
func (c *Client) Handlers(ctx context.Context) (names []string, err error) {
	r, err := c.runtime.Status(ctx, &runtime.StatusRequest{Verbose: true})
	if err != nil {
		return nil, err
	}
	for _, h := range r.GetRuntimeHandlers() {
		if h.GetName() != "" {
			names = append(names, h.GetName())
		}
	}
	if names == nil {
		names, err = handlersOf(r.GetInfo())
	}
	slices.Sort(names)
	return names, err
}

// HasImage is nil when the engine has an image for pods. One that was imported past the CRI
// is there for them only some time after that: containerd has a store of its own for them,
// which follows the other by events (its issue 12980).
func (c *Client) HasImage(ctx context.Context, name string) error {
	r, err := c.images.ImageStatus(ctx, &runtime.ImageStatusRequest{Image: &runtime.ImageSpec{Image: name}})
	if err != nil {
		return fmt.Errorf("image %s: %w", name, err)
	}
	if r.GetImage() == nil {
		return fmt.Errorf("image %s: the CRI does not have it", name)
	}
	return nil
}

// Pod is what a sandbox is made of.
type Pod struct {
	Name, Namespace, UID string
	Handler              string // runtime handler; "" for the engine's default
	Annotations          map[string]string
	LogDir               string // where its containers' output goes, if anywhere
	OwnNetwork           bool   // made by CNI plugins; else the node's, which takes none
	HostPID              bool   // its containers share the node's processes
	SharedPID            bool   // its containers share one PID namespace
	CgroupParent         string // as a kubelet names it; "" for the engine's own

	ID string // given by [Client.RunPodSandbox]
}

func (p *Pod) config() *runtime.PodSandboxConfig {
	network, pid := runtime.NamespaceMode_NODE, runtime.NamespaceMode_CONTAINER
	if p.OwnNetwork {
		network = runtime.NamespaceMode_POD
	}
	switch {
	case p.HostPID:
		pid = runtime.NamespaceMode_NODE
	case p.SharedPID:
		pid = runtime.NamespaceMode_POD
	}
	return &runtime.PodSandboxConfig{
		Metadata:     &runtime.PodSandboxMetadata{Name: p.Name, Namespace: p.Namespace, Uid: p.UID},
		LogDirectory: p.LogDir,
		Annotations:  p.Annotations,
		Linux: &runtime.LinuxPodSandboxConfig{CgroupParent: p.CgroupParent, SecurityContext: &runtime.LinuxSandboxSecurityContext{
			NamespaceOptions: &runtime.NamespaceOption{Network: network, Pid: pid},
		}},
	}
}

// RunPodSandbox starts the pod's sandbox, and notes its ID in p.
func (c *Client) RunPodSandbox(ctx context.Context, p *Pod) error {
	r, err := c.runtime.RunPodSandbox(ctx, &runtime.RunPodSandboxRequest{Config: p.config(), RuntimeHandler: p.Handler})
	p.ID = r.GetPodSandboxId()
	return err
}

// PodSandboxStatus is the sandbox's state, and its annotations as the engine keeps them.
func (c *Client) PodSandboxStatus(ctx context.Context, p *Pod) (*runtime.PodSandboxStatus, error) {
	r, err := c.runtime.PodSandboxStatus(ctx, &runtime.PodSandboxStatusRequest{PodSandboxId: p.ID})
	return r.GetStatus(), err
}

// StopPodSandbox ends the sandbox and all containers in it.
func (c *Client) StopPodSandbox(ctx context.Context, p *Pod) error {
	_, err := c.runtime.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: p.ID})
	return err
}

// RemovePodSandbox removes the sandbox and all containers in it.
func (c *Client) RemovePodSandbox(ctx context.Context, p *Pod) error {
	_, err := c.runtime.RemovePodSandbox(ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: p.ID})
	return err
}

// Container is what a container of a pod is made of.
type Container struct {
	Name        string
	Image       string
	Args        []string // of the image's entry point; those of the image if nil
	Annotations map[string]string
	Attempt     uint32 // how often it was there before in this sandbox

	ID string // given by [Client.CreateContainer]
}

// LogName is the file in the pod's folder that its output goes to.
func (o *Container) LogName() string { return fmt.Sprintf("%s_%d.log", o.Name, o.Attempt) }

// config is for a container of this pod. It has to name the pod's namespaces again, which
// count for each container by itself.
func (o *Container) config(pod *runtime.PodSandboxConfig) *runtime.ContainerConfig {
	return &runtime.ContainerConfig{
		Linux: &runtime.LinuxContainerConfig{SecurityContext: &runtime.LinuxContainerSecurityContext{
			NamespaceOptions: pod.GetLinux().GetSecurityContext().GetNamespaceOptions(),
		}},
		Metadata:    &runtime.ContainerMetadata{Name: o.Name, Attempt: o.Attempt},
		Image:       &runtime.ImageSpec{Image: o.Image},
		Args:        o.Args,
		Annotations: o.Annotations,
		LogPath:     o.LogName(),
	}
}

// CreateContainer makes a container in a pod, and notes its ID in o.
func (c *Client) CreateContainer(ctx context.Context, p *Pod, o *Container) error {
	pod := p.config()
	r, err := c.runtime.CreateContainer(ctx, &runtime.CreateContainerRequest{
		PodSandboxId: p.ID, Config: o.config(pod), SandboxConfig: pod,
	})
	o.ID = r.GetContainerId()
	return err
}

// StartContainer starts what was created.
func (c *Client) StartContainer(ctx context.Context, o *Container) error {
	_, err := c.runtime.StartContainer(ctx, &runtime.StartContainerRequest{ContainerId: o.ID})
	return err
}

// ContainerStatus is the container's state, and why it is in it.
func (c *Client) ContainerStatus(ctx context.Context, o *Container) (*runtime.ContainerStatus, error) {
	r, err := c.runtime.ContainerStatus(ctx, &runtime.ContainerStatusRequest{ContainerId: o.ID})
	return r.GetStatus(), err
}

// PID is the container's first process, in the engine's PID namespace. Only the verbose
// status has it, and only as text that each engine writes for itself.
func (c *Client) PID(ctx context.Context, id string) (int, error) {
	r, err := c.runtime.ContainerStatus(ctx, &runtime.ContainerStatusRequest{ContainerId: id, Verbose: true})
	if err != nil {
		return 0, err
	}
	return pidOf(r.GetInfo())
}

// SandboxPID is the same for a sandbox.
func (c *Client) SandboxPID(ctx context.Context, p *Pod) (int, error) {
	r, err := c.runtime.PodSandboxStatus(ctx, &runtime.PodSandboxStatusRequest{PodSandboxId: p.ID, Verbose: true})
	if err != nil {
		return 0, err
	}
	return pidOf(r.GetInfo())
}

// ExecSync runs a command in a container. A command that fails is an error, with what it
// wrote.
func (c *Client) ExecSync(ctx context.Context, o *Container, args ...string) (stdout string, err error) {
	r, err := c.runtime.ExecSync(ctx, &runtime.ExecSyncRequest{ContainerId: o.ID, Cmd: args, Timeout: int64(time.Minute / time.Second)})
	if err != nil {
		return "", err
	}
	if r.GetExitCode() != 0 {
		return "", fmt.Errorf("%q in %s: exit status %d: %s", args, o.Name, r.GetExitCode(), r.GetStderr())
	}
	return string(r.GetStdout()), nil
}

// StopContainer ends a container, by force after a few seconds.
func (c *Client) StopContainer(ctx context.Context, o *Container) error {
	_, err := c.runtime.StopContainer(ctx, &runtime.StopContainerRequest{ContainerId: o.ID, Timeout: grace})
	return err
}

// RemoveContainer removes a container and its output.
func (c *Client) RemoveContainer(ctx context.Context, o *Container) error {
	_, err := c.runtime.RemoveContainer(ctx, &runtime.RemoveContainerRequest{ContainerId: o.ID})
	return err
}
