"""ZFNet with its explanations: predictions, deconvnet projections, occlusion maps."""
