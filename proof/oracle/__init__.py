"""An oracle beside the product: its own writers, its own clients, its own reading of the contracts."""
