"""What is said to who asks: the layout of help; no command is run here."""
