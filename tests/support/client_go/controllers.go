package main

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	appsapply "k8s.io/client-go/applyconfigurations/apps/v1"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	metaapply "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/workqueue"
)

const mark = "copy=yes"

// informers: a controller with a work queue that copies each config map labelled copy=yes into a secret, until all of them are gone.
func (p program) informers() {
	api := p.client.CoreV1()
	factory := informers.NewSharedInformerFactoryWithOptions(p.client, 0, informers.WithNamespace(p.namespace))
	maps, secrets := factory.Core().V1().ConfigMaps(), factory.Core().V1().Secrets()
	secrets.Informer()
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	var lock sync.Mutex
	events := map[string]int{}
	count := func(event string, object any) {
		if final, is := object.(cache.DeletedFinalStateUnknown); is {
			object = final.Obj
		}
		one := object.(*corev1.ConfigMap)
		if one.Labels["copy"] == "yes" {
			lock.Lock()
			events[event]++
			lock.Unlock()
			queue.Add(one.Name)
		}
	}
	_, err := maps.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { count("added", object) },
		UpdateFunc: func(_, object any) { count("updated", object) },
		DeleteFunc: func(object any) { count("deleted", object) },
	})
	check(err)
	create := func(name string) {
		one := settings(name, map[string]string{"of": name})
		one.Labels["copy"] = "yes"
		_, err := api.ConfigMaps(p.namespace).Create(p.ctx, one, metav1.CreateOptions{})
		check(err)
	}
	for n := range 5 {
		create(fmt.Sprintf("before-%d", n))
	}
	factory.Start(p.ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(p.ctx.Done()) {
		if !synced {
			check(fmt.Errorf("%v did not sync", kind))
		}
	}
	reconcile := func(name string) error {
		one, err := maps.Lister().ConfigMaps(p.namespace).Get(name)
		if errors.IsNotFound(err) {
			err = api.Secrets(p.namespace).Delete(p.ctx, "copy-of-"+name, metav1.DeleteOptions{})
			if errors.IsNotFound(err) {
				return nil
			}
			return err
		}
		copied := coreapply.Secret("copy-of-"+name, p.namespace).WithLabels(map[string]string{"copied": "yes"}).WithStringData(one.Data)
		_, err = api.Secrets(p.namespace).Apply(p.ctx, copied, metav1.ApplyOptions{FieldManager: "copier"})
		return err
	}
	for range 2 {
		go func() {
			for {
				name, end := queue.Get()
				if end {
					return
				}
				if err := reconcile(name); err != nil {
					queue.AddRateLimited(name)
				} else {
					queue.Forget(name)
				}
				queue.Done(name)
			}
		}()
	}
	copies := func() []string {
		found, err := secrets.Lister().Secrets(p.namespace).List(labels.SelectorFromSet(labels.Set{"copied": "yes"}))
		check(err)
		names := []string{}
		for _, one := range found {
			names = append(names, one.Name+"="+string(one.Data["of"]))
		}
		sort.Strings(names)
		return names
	}
	until := func(what string, reached func() bool) {
		for !reached() {
			select {
			case <-p.ctx.Done():
				check(fmt.Errorf("%s was not reached: %v %v", what, copies(), events))
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	for n := range 5 {
		create(fmt.Sprintf("after-%d", n))
	}
	until("ten copies", func() bool { return len(copies()) == 10 })
	one, err := api.ConfigMaps(p.namespace).Get(p.ctx, "before-0", metav1.GetOptions{})
	check(err)
	one.Data["of"] = "changed"
	_, err = api.ConfigMaps(p.namespace).Update(p.ctx, one, metav1.UpdateOptions{})
	check(err)
	until("the changed copy", func() bool { return copies()[5] == "copy-of-before-0=changed" })
	last := copies()
	check(api.ConfigMaps(p.namespace).DeleteCollection(p.ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: mark}))
	until("no copy", func() bool { return len(copies()) == 0 })
	queue.ShutDown()
	lock.Lock()
	defer lock.Unlock()
	say(map[string]any{"copies": last, "events": events})
}

// election: of two candidates one leads; when it gives up, the other does.
func (p program) election() {
	order := make(chan string, 8)
	candidate := func(ctx context.Context, name string, started chan bool) {
		lock := &resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Name: "lead", Namespace: p.namespace}, Client: p.client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: name},
		}
		leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
			Lock: lock, ReleaseOnCancel: true, LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 200 * time.Millisecond,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) { order <- name; started <- true },
				OnStoppedLeading: func() {},
			},
		})
	}
	first, resign := context.WithCancel(p.ctx)
	second, end := context.WithCancel(p.ctx)
	started, done := make(chan bool, 2), make(chan bool)
	go candidate(first, "first", started)
	<-started
	go func() { candidate(second, "second", started); close(done) }()
	resign()
	<-started
	lease, err := p.client.CoordinationV1().Leases(p.namespace).Get(p.ctx, "lead", metav1.GetOptions{})
	check(err)
	end()
	<-done
	say(map[string]any{"holder": *lease.Spec.HolderIdentity, "transitions": *lease.Spec.LeaseTransitions, "order": []string{<-order, <-order}})
}

// apply: two managers, a conflict, and force.
func (p program) apply() {
	deployments := p.client.AppsV1().Deployments(p.namespace)
	web := func(replicas int32) *appsapply.DeploymentApplyConfiguration {
		labels := map[string]string{"app": "web"}
		pod := coreapply.PodSpec().WithNodeSelector(map[string]string{"never": "there"}).
			WithContainers(coreapply.Container().WithName("web").WithImage("web:1"))
		return appsapply.Deployment("web", p.namespace).WithSpec(appsapply.DeploymentSpec().WithReplicas(replicas).
			WithSelector(metaapply.LabelSelector().WithMatchLabels(labels)).
			WithTemplate(coreapply.PodTemplateSpec().WithLabels(labels).WithSpec(pod)))
	}
	first, err := deployments.Apply(p.ctx, web(1), metav1.ApplyOptions{FieldManager: "one"})
	check(err)
	_, conflict := deployments.Apply(p.ctx, web(2), metav1.ApplyOptions{FieldManager: "two"})
	forced, err := deployments.Apply(p.ctx, web(2), metav1.ApplyOptions{FieldManager: "two", Force: true})
	check(err)
	extracted, err := appsapply.ExtractDeployment(forced, "two")
	check(err)
	managers := []string{}
	for _, one := range forced.ManagedFields {
		if one.Operation == metav1.ManagedFieldsOperationApply {
			managers = append(managers, one.Manager)
		}
	}
	sort.Strings(managers)
	say(map[string]any{
		"replicas": []int32{*first.Spec.Replicas, *forced.Spec.Replicas}, "conflict": errors.IsConflict(conflict), "message": fmt.Sprint(conflict),
		"managers": managers, "extracted": *extracted.Spec.Replicas,
	})
}
