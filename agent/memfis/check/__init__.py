"""Does nginx answer visitors as it should? Each site is asked, and the answer is compared.

`absence`: why a page is not in memory. `configuration`: what nginx is told to do, and which of its
servers answers for a name. `asking`: one request, as a visitor sends it. `expectation`: what the
right answer is. `trouble`: what may have caused a wrong one. `sites`: all of it together.
Nothing is imported here: `memfis stat` wants the first of them alone.
"""
