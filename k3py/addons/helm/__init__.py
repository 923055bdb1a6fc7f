"""HelmChart and HelmChartConfig: charts that the cluster installs by itself, with the real helm program and without job pods (P-40 to P-44)."""
