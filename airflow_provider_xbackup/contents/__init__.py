"""What is inside the vendors' files: zips and JSON, read as they stream past, never unpacked to a disk."""
