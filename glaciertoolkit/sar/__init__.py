"""The geometry and the radiometry of radar images: orbits, geocoding, line of sight, speckle."""
