"""What each verb does with a resource, generically: decoding, strategy, admission, storage; one verb a file."""
