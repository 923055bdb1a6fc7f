// A program like those that client-go is for: a typed client that speaks protobuf, shared informers with listers and a work queue,
// leader election, server-side apply, conflicts and paging. It takes a step and a namespace and says on standard output, one JSON
// object a line, what it found; the test looks at it. Ends with 1 and a text on standard error when something fails.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Longest that anything here may take.
const limit = 50 * time.Second

type program struct {
	ctx       context.Context
	namespace string
	config    *rest.Config
	client    kubernetes.Interface
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	check(err)
	config.QPS, config.Burst = 1000, 1000
	typed := rest.CopyConfig(config)
	typed.ContentType = "application/vnd.kubernetes.protobuf"
	typed.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	client, err := kubernetes.NewForConfig(typed)
	check(err)
	p := program{ctx: ctx, namespace: os.Args[2], config: config, client: client}
	steps := map[string]func(){
		"informers": p.informers, "election": p.election, "apply": p.apply, "conflicts": p.conflicts, "pages": p.pages,
		"dynamic": p.dynamic, "faults": p.faults,
	}
	step, known := steps[os.Args[1]]
	if !known {
		check(fmt.Errorf("no step %q", os.Args[1]))
	}
	step()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func say(what map[string]any) {
	check(json.NewEncoder(os.Stdout).Encode(what))
}

func settings(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"by": "client-go"}}, Data: data}
}

// conflicts: many writers count one number up, each by reading, changing and writing until nobody was faster.
func (p program) conflicts() {
	maps := p.client.CoreV1().ConfigMaps(p.namespace)
	_, err := maps.Create(p.ctx, settings("counter", map[string]string{"n": "0"}), metav1.CreateOptions{})
	check(err)
	var group sync.WaitGroup
	count := func() error {
		found, err := maps.Get(p.ctx, "counter", metav1.GetOptions{})
		if err != nil {
			return err
		}
		n := 0
		if _, err := fmt.Sscan(found.Data["n"], &n); err != nil {
			return err
		}
		found.Data["n"] = fmt.Sprint(n + 1)
		_, err = maps.Update(p.ctx, found, metav1.UpdateOptions{})
		return err
	}
	for range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			for range 10 {
				err := count()
				for errors.IsConflict(err) {
					err = count()
				}
				check(err)
			}
		}()
	}
	group.Wait()
	found, err := maps.Get(p.ctx, "counter", metav1.GetOptions{})
	check(err)
	say(map[string]any{"n": found.Data["n"]})
}

// pages: all objects come once, in pages of one moment.
func (p program) pages() {
	maps := p.client.CoreV1().ConfigMaps(p.namespace)
	mine := metav1.ListOptions{LabelSelector: "by=client-go"}
	for n := range 25 {
		_, err := maps.Create(p.ctx, settings(fmt.Sprintf("page-%02d", n), nil), metav1.CreateOptions{})
		check(err)
	}
	names, pages, token := []string{}, 0, ""
	for {
		list, err := maps.List(p.ctx, metav1.ListOptions{Limit: 10, Continue: token, LabelSelector: mine.LabelSelector})
		check(err)
		for _, one := range list.Items {
			names = append(names, one.Name)
		}
		pages++
		if token = list.Continue; token == "" {
			break
		}
		check(maps.Delete(p.ctx, fmt.Sprintf("page-%02d", 25-pages), metav1.DeleteOptions{}))
	}
	check(maps.DeleteCollection(p.ctx, metav1.DeleteOptions{}, mine))
	list, err := maps.List(p.ctx, mine)
	check(err)
	say(map[string]any{"names": names, "pages": pages, "left": len(list.Items)})
}

// dynamic: a kind that this program knows by its name alone.
func (p program) dynamic() {
	client, err := dynamic.NewForConfig(p.config)
	check(err)
	deployments := client.Resource(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}).Namespace(p.namespace)
	labels := map[string]any{"app": "web"}
	made, err := deployments.Create(p.ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web"},
		"spec": map[string]any{
			"replicas": int64(0), "selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{
				"metadata": map[string]any{"labels": labels},
				"spec":     map[string]any{"containers": []any{map[string]any{"name": "web", "image": "web:1"}}},
			},
		},
	}}, metav1.CreateOptions{})
	check(err)
	strategy, _, err := unstructured.NestedString(made.Object, "spec", "strategy", "type")
	check(err)
	changed, err := deployments.Patch(p.ctx, "web", types.MergePatchType, []byte(`{"spec":{"paused":true}}`), metav1.PatchOptions{})
	check(err)
	paused, _, err := unstructured.NestedBool(changed.Object, "spec", "paused")
	check(err)
	say(map[string]any{"strategy": strategy, "paused": paused, "generation": changed.GetGeneration()})
}

// faults: errors are what client-go's functions take them for.
func (p program) faults() {
	maps := p.client.CoreV1().ConfigMaps(p.namespace)
	_, missing := maps.Get(p.ctx, "missing", metav1.GetOptions{})
	_, err := maps.Create(p.ctx, settings("one", nil), metav1.CreateOptions{})
	check(err)
	_, exists := maps.Create(p.ctx, settings("one", nil), metav1.CreateOptions{})
	_, invalid := maps.Create(p.ctx, settings("Not a name", nil), metav1.CreateOptions{})
	stranger := rest.AnonymousClientConfig(p.config)
	client, err := kubernetes.NewForConfig(stranger)
	check(err)
	_, forbidden := client.CoreV1().Secrets(p.namespace).List(p.ctx, metav1.ListOptions{})
	stranger.BearerToken = "nonsense"
	client, err = kubernetes.NewForConfig(stranger)
	check(err)
	_, unauthorized := client.CoreV1().Secrets(p.namespace).List(p.ctx, metav1.ListOptions{})
	uid := types.UID("other")
	stale := maps.Delete(p.ctx, "one", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	say(map[string]any{
		"missing": errors.IsNotFound(missing), "exists": errors.IsAlreadyExists(exists), "invalid": errors.IsInvalid(invalid),
		"forbidden": errors.IsForbidden(forbidden), "unauthorized": errors.IsUnauthorized(unauthorized), "stale": errors.IsConflict(stale),
	})
}
