"""The command line: `zfnet-explainer`."""
