"""An ingress controller, put to work as soon as its image is at hand; k3py itself brings no images."""
