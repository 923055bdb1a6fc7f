"""What a request passes before it is handled, one filter a file, called top to bottom by `app.ApiServer.handle`."""
