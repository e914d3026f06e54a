"""What is published: archives, and how they install."""
