# <?php exit()?>
ada:3a65e658dbead34098409148ca701bbe:Ada Lovelace:ada@example.org:user
bob:3a65e658dbead34098409148ca701bbe:Bob Babbage:bob@example.org:user
