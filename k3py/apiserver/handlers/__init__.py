"""From a parsed HTTP request to the Dispatcher and from its result to an HTTP answer, one shape of answer a file."""
