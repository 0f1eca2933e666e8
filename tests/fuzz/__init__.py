"""What reads other people's files, fed with damage: nothing but sentences may come out."""
