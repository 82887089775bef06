"""``telex batch``: options to plan, results to a file that can be resumed, progress on stderr."""
