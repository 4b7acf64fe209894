"""One module for each kind of manifest: its text → a `DependencyManifest`."""
