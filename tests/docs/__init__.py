"""What is written for people, held against what the program does."""
