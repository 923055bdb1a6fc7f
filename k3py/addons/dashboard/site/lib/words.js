// Numbers and times for people.

export function bytes(count) {
  if (count === undefined || Number.isNaN(count)) return "unknown";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let power = 0;
  let value = count;
  for (; value >= 1024 && power < units.length - 1; power += 1) value /= 1024;
  return `${value >= 100 || !power ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}

export function age(timestamp) {
  const seconds = Math.max(0, (Date.now() - Date.parse(timestamp)) / 1000);
  if (seconds < 120) return `${Math.round(seconds)}s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}m`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)}h`;
  return `${Math.round(seconds / 86400)}d`;
}

/** Read the samples of a Prometheus text: name → sum over its labels. */
export function readMetrics(text) {
  const sums = new Map();
  for (const line of text.split("\n")) {
    const match = /^([a-z0-9_]+)(?:\{[^}]*\})? (\S+)$/.exec(line);
    if (match) sums.set(match[1], (sums.get(match[1]) || 0) + Number(match[2]));
  }
  return sums;
}
