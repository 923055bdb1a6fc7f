// Why a pod is not (yet) doing what it should, in words, from what its object says.

/** Return {state, why}: one word, and a sentence or "" when all is well. */
export function judgePod(pod) {
  const { metadata, spec, status = {} } = pod;
  const condition = (type) => (status.conditions || []).find((one) => one.type === type);
  if (metadata.deletionTimestamp)
    return {
      state: "Terminating",
      why: metadata.finalizers?.length
        ? `being deleted; waits for ${metadata.finalizers.join(", ")}`
        : `being deleted since ${metadata.deletionTimestamp}`,
    };
  if (status.phase === "Succeeded") return { state: "Succeeded", why: "" };
  if (status.phase === "Failed")
    return { state: "Failed", why: say(status.reason, status.message) || lastEnd(status) || "a container failed" };
  if (spec.schedulingGates?.length)
    return { state: "Pending", why: `held by scheduling gates ${spec.schedulingGates.map((one) => one.name).join(", ")}` };
  const scheduled = condition("PodScheduled");
  if (scheduled?.status === "False") return { state: "Pending", why: say(scheduled.reason, scheduled.message) };
  if (!spec.nodeName) return { state: "Pending", why: "no scheduler has looked at it yet" };
  const held = firstHeld(status.initContainerStatuses, true) || firstHeld(status.containerStatuses, false);
  if (held) return { state: status.phase || "Pending", why: held };
  const ready = condition("Ready");
  if (status.phase === "Running" && ready?.status === "False") return { state: "Running", why: say(ready.reason, ready.message) };
  if (status.phase === "Running") return { state: "Running", why: "" };
  return { state: status.phase || "Pending", why: `on node ${spec.nodeName}; volumes, network and images are being prepared` };
}

function firstHeld(statuses = [], inits) {
  for (const one of statuses) {
    const { waiting, terminated, running } = one.state || {};
    if (waiting?.reason && !["PodInitializing", "ContainerCreating"].includes(waiting.reason))
      return `container ${one.name}: ${say(waiting.reason, waiting.message)}${restarts(one)}`;
    if (terminated && terminated.exitCode !== 0)
      return `container ${one.name} ended with ${terminated.exitCode} (${terminated.reason || "Error"})${restarts(one)}`;
    if (running && inits && one.started === false) return `init container ${one.name} is starting`;
    if (running && inits && !one.ready && one.started !== true) return `init container ${one.name} is at work`;
    if (running && !inits && !one.ready) return `container ${one.name} runs and is not ready: a probe does not pass yet${restarts(one)}`;
  }
  return "";
}

function lastEnd(status) {
  const bad = [...(status.initContainerStatuses || []), ...(status.containerStatuses || [])].find(
    (one) => one.state?.terminated?.exitCode,
  );
  return bad ? `container ${bad.name} ended with ${bad.state.terminated.exitCode} (${bad.state.terminated.reason || "Error"})` : "";
}

const restarts = (one) => (one.restartCount ? `, restarted ${one.restartCount} times` : "");
const say = (reason, message) => [reason, message].filter(Boolean).join(": ");
